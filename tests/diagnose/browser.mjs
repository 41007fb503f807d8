// Opens a page in a browser at two widths and in two schemes, works it by keys, and prints what is wrong as JSON.
// node browser.mjs PAGE BROWSER MODULES, where MODULES has puppeteer-core and axe-core.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [page, executable, modules] = process.argv.slice(2);
const entry = path.join(modules, "puppeteer-core", JSON.parse(
  fs.readFileSync(path.join(modules, "puppeteer-core", "package.json"), "utf8")).main);
const loaded = await import(pathToFileURL(entry));
const puppeteer = loaded.default.launch ? loaded.default : loaded;
const axe = fs.readFileSync(path.join(modules, "axe-core", "axe.min.js"), "utf8");
const browser = await puppeteer.launch({ executablePath: executable, headless: "shell",
  args: ["--no-sandbox", "--no-zygote", "--single-process", "--in-process-gpu", "--use-gl=angle", "--use-angle=swiftshader"] });
const wrong = [], done = [];
for (const width of [1280, 390]) for (const scheme of ["light", "dark"]) {
  const tab = await browser.newPage(), where = `${width} ${scheme}`;
  const tell = what => wrong.push(`${where}: ${what}`);
  tab.on("console", message => tell(`console: ${message.text()}`));
  tab.on("pageerror", error => tell(`error: ${error.message}`));
  tab.on("request", request => request.url().startsWith("file:") || tell(`asks for ${request.url()}`));
  await tab.setViewport({ width, height: 844, isMobile: width < 500, hasTouch: width < 500 });
  await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await tab.goto(pathToFileURL(page).href);
  const rules = async when => {
    const found = await tab.evaluate(async () => (await axe.run()).violations.map(one => `${one.id}: ${one.nodes[0].html}`));
    found.forEach(one => tell(`${when}: ${one}`));
    if (await tab.evaluate(() => document.documentElement.scrollWidth > innerWidth)) tell(`${when}: scrolls sideways`);
  };
  const name = () => tab.evaluate(() => document.activeElement.querySelector(".name")?.textContent ?? document.activeElement.id);
  await tab.evaluate(axe);
  await rules("at first");
  await tab.evaluate(() => document.querySelector('.box[tabindex="0"]').focus());
  await tab.keyboard.press("ArrowDown");
  const second = await name();
  await rules("a layer has the focus");
  await tab.keyboard.press("Enter");
  if ((await name()) !== "layer") tell("Enter does not open a layer");
  await tab.select("#example", "1");
  await rules("a layer is open");
  const slider = await tab.$("#epoch");
  if (slider) {
    const before = await tab.$eval("#state", node => node.textContent);
    await slider.focus();
    await tab.keyboard.press("Home");
    if ((await tab.$eval("#state", node => node.textContent)) === before) tell("the slider changes nothing");
  }
  await tab.keyboard.press("Escape");
  if ((await name()) !== second) tell("Escape does not lead back");
  done.push(where);
  await tab.close();
}
await browser.close();
console.log(JSON.stringify({ wrong, done }));
