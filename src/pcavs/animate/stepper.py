"""Draws one frame after another: from controls to the pixels of a film or a live session."""

from typing import Protocol, runtime_checkable

from pcavs.animate.backdrop import Backdrop
from pcavs.animate.controls import Controls
from pcavs.animate.renderer import DepthRenderer, Renderer
from pcavs.face.align import Square
from pcavs.pose.codes import apply_view
from pcavs.types import CropTransform, Cutout, Picture


@runtime_checkable
class Paster(Protocol):
    """Pastes a rendered head, or its mouth, into whole pictures."""

    def paste(self, crop: Square, target: Picture) -> Picture:
        """Returns a copy of the picture with the crop in it."""
        ...


class Stepper:
    """Draws frames: the last step of films, of evaluation's too, and of live sessions.

    Args:
        renderer: Renders the crop.
        view: Moves whole crops to the average place and size of the head (`pose.codes.view_of`).
        paster: Pastes crops into whole pictures; None shows the crop.
        backdrop: What is behind the person instead of the photograph's own background.
    """

    def __init__(
        self,
        renderer: Renderer,
        *,
        view: CropTransform | None = None,
        paster: Paster | None = None,
        backdrop: Backdrop | None = None,
    ) -> None:
        self._renderer, self._view, self._paster, self._backdrop = renderer, view, paster, backdrop

    def draw(self, controls: Controls, picture: Picture | None = None) -> Picture | Cutout:
        """Draws one frame; with a transparent background it is RGBA with straight alpha.

        Args:
            controls: Content, head pose, lids and lips.
            picture: The picture to paste into, if there is a paster.
        """
        renderer = self._renderer
        if self._paster is not None:
            assert picture is not None
            return self._paster.paste(renderer.frame(controls), picture)
        if self._backdrop is None:
            return apply_view(renderer.frame(controls), self._view, renderer.margin_px)
        assert isinstance(renderer, DepthRenderer)
        return self._backdrop.show(apply_view(renderer.layer(controls), self._view, renderer.margin_px))
