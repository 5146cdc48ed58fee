"""Builds the model that a spec describes."""

import torch

from pcavs.models.flow import FlowModel, build_flow
from pcavs.models.paper import PaperModel, build_paper
from pcavs.models.state import shapes_of
from pcavs.spec import TalkerSpec


def build_model(spec: TalkerSpec) -> FlowModel | PaperModel:
    """Builds the model of the spec's kind with random weights; `state.fill` loads those of a bundle."""
    return build_paper(spec.paper, spec.mel) if spec.kind == "paper" else build_flow(spec.flow, spec.mel)


def model_shapes(spec: TalkerSpec) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every tensor that a bundle of this spec holds, by name; allocates no memory."""
    with torch.device("meta"):
        return shapes_of(build_model(spec))
