"""Whole models, made of layers."""

from jaxann.models.autoencoder import (
    autoencoder,
    contractive_autoencoder,
    conv_autoencoder,
    variational_autoencoder,
)
from jaxann.models.convnext import convnext
from jaxann.models.densenet import densenet
from jaxann.models.language import gpt, recurrent_language_model
from jaxann.models.lenet import lenet5
from jaxann.models.likelihood import elbo, importance_log_likelihood
from jaxann.models.mixer import mlp_mixer
from jaxann.models.mlp import mlp, self_normalizing_mlp
from jaxann.models.realmlp import realmlp, realmlp_optimizer
from jaxann.models.recurrent import recurrent_classifier, recurrent_encoder_decoder
from jaxann.models.resnet import resnet, resnet_cifar
from jaxann.models.tabm import tabm
from jaxann.models.tabular import tabular, tabular_resnet
from jaxann.models.temporal_conv import temporal_conv_net
from jaxann.models.transformer import bert, transformer, vision_transformer
from jaxann.models.unet import unet
from jaxann.models.vgg import vgg
from jaxann.models.wide_resnet import wide_resnet

__all__ = [
    "autoencoder",
    "bert",
    "contractive_autoencoder",
    "conv_autoencoder",
    "convnext",
    "densenet",
    "elbo",
    "gpt",
    "importance_log_likelihood",
    "lenet5",
    "mlp",
    "mlp_mixer",
    "realmlp",
    "realmlp_optimizer",
    "recurrent_classifier",
    "recurrent_encoder_decoder",
    "recurrent_language_model",
    "resnet",
    "resnet_cifar",
    "self_normalizing_mlp",
    "tabm",
    "tabular",
    "tabular_resnet",
    "temporal_conv_net",
    "transformer",
    "unet",
    "variational_autoencoder",
    "vgg",
    "vision_transformer",
    "wide_resnet",
]
