"""Train a language model on the characters of a text, and let it write: a transformer, an LSTM or a GRU.

    python -m scripts.train_char_lm --data FOLDER --model gpt
    python -m scripts.train_char_lm --data FOLDER --model lstm --units 256 --prompt "ROMEO:"

The text is cut into windows; in each the model says at every character what comes next. The last tenth is held out, and
the loss on it is in nats a character. While it learns it writes a line now and then, at the end a paragraph.
"""

from __future__ import annotations

import argparse
import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

import jaxann as ja
from jaxann.train.recipe import Recipe
from scripts.train_mnist import adamw, compute_dtype, device, flags, run_each, summarize, write


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the flags."""
    text = "Train a language model on the characters of a text and report its loss on what is held out."
    defaults = {"epochs": 5, "batch_size": 12, "learning_rate": 1e-3, "warmup_epochs": 0.1, "weight_decay": 0.1}
    parser = flags(text, "text", "tinyshakespeare.txt", **defaults)
    parser.set_defaults(validation=None, no_test=True)
    for action in parser._actions:  # the last tenth is what is measured, and nothing is downloaded
        if action.dest in ("validation", "no_test"):
            action.help = argparse.SUPPRESS
        elif action.dest == "data":
            action.help = "folder with the text, one .txt or .txt.gz; by default $JAXANN_DATA/text"
    add = parser.add_argument
    add("--model", choices=("gpt", "lstm", "gru", "rnn"), default="gpt", help="what reads")
    add("--context", type=int, default=64, help="characters of a window")
    add("--features", type=int, default=128, help="of a character in the transformer")
    add("--heads", type=int, default=4, help="of its attention")
    add("--blocks", type=int, default=4, help="of the transformer")
    add("--positions", choices=("rotary", "alibi", "learned"), default="rotary", help="of the transformer")
    add("--units", type=int, default=256, help="of a recurrent layer")
    add("--depth", type=int, default=1, help="recurrent layers")
    add("--dropout", type=float, default=0.0, help="probability of dropping")
    add("--prompt", default="\n", help="what it goes on from when it writes")
    add("--temperature", type=float, default=0.8, help="of what is drawn when it writes")
    add("--length", type=int, default=500, help="characters that it writes at the end")
    return parser.parse_args(arguments)


def read(folder: str | None) -> str:
    """The text: the only .txt file of the folder, plain or .gz."""
    found = sorted(Path(folder).glob("*.txt*")) if folder and os.path.isdir(folder) else []
    if len(found) != 1:
        raise SystemExit(
            f"--data: a folder with one text file, .txt or .txt.gz, is wanted; {folder!r} has {len(found)}"
        )
    raw = gzip.open(found[0]).read() if found[0].suffix == ".gz" else found[0].read_bytes()
    return raw.decode()


def build(args: argparse.Namespace, vocabulary: int, examples: int) -> Recipe:
    """The recipe for these flags."""
    rate = args.dropout or None
    if args.model == "gpt":
        sizes = {"features": args.features, "heads": args.heads, "blocks": args.blocks, "context": args.context}
        model = ja.models.gpt(vocabulary, rate=rate, positions=args.positions, **sizes)
    else:
        model = ja.models.recurrent_language_model(
            vocabulary, cell=args.model, units=args.units, depth=args.depth, rate=rate
        )
    optimizer = ja.optimizers.chain(ja.optimizers.clip_by_global_norm(1.0), adamw(args, examples))
    return ja.recipe(model, ja.losses.softmax_cross_entropy, optimizer, compute_dtype=compute_dtype(args))


def main(arguments: list[str] | None = None) -> list[float]:
    """Train, write, and return each seed's loss on the part held out, in nats a character."""
    args = parse(arguments)
    text = read(args.data)
    tokenizer = ja.data.char_tokenizer(text)
    unknown = set(args.prompt) - set(text)
    if unknown or not args.prompt:
        raise SystemExit(f"--prompt: characters of the text are wanted, {''.join(sorted(unknown))!r} is not there")
    ids = tokenizer.encode(text)
    cut = int(0.9 * len(ids))
    streams = {"training": ids[:cut], "validation": ids[cut:]}
    train, validation = (ja.data.language_windows(one, args.context, remainder="drop") for one in streams.values())
    for name, one in streams.items():
        print(f"{name}: {(len(one) - 1) % args.context} of {len(one)} characters fill no window and are left out")
    recipe = build(args, tokenizer.vocabulary, len(train[0]))
    writing = ja.core.fold_name(jax.random.key(0), "writing")
    prompt = tokenizer.encode(args.prompt)[None]

    def told(params: Any, state: Any, key: jax.Array, length: int) -> Iterator[str]:
        """The prompt, and what is written after it while it is written."""
        if args.model == "gpt" and args.positions == "learned":
            length = min(length, args.context + 1 - prompt.shape[1])  # there are no more positions
        yield args.prompt
        how = {"length": length, "key": key, "temperature": args.temperature}
        for ids in ja.train.stream(recipe, params, state, prompt, **how):
            yield tokenizer.decode(ids[0])

    def watch(moment: ja.train.Moment) -> None:
        line = "".join(told(*moment.weights(), jax.random.fold_in(writing, moment.epoch), 60))
        print(f"epoch {moment.epoch}, loss {moment.rows['validation_loss'][-1]:.3f}: {line.strip()!r}", flush=True)

    def report(seed: int, result: Any) -> tuple[float | None, str]:
        loss = float(result.history["validation_loss"][-1])
        if seed == 0:
            if args.length:
                for text in told(result.params, result.state, writing, args.length):
                    print(text, end="", flush=True)
                print()
            if args.plot:
                from jaxann import plot

                write(plot.learning_curves(result.history, "loss").figure, args.plot)
        return loss, f", loss on what is held out {loss:.4f} nats a character"

    with device(args):
        losses = run_each(args, recipe, train, validation, report, (watch,) if args.length else ())
    summarize(args, "loss", losses)
    return losses


if __name__ == "__main__":
    main()
