"""PC-AVS for ComfyUI: this folder is a node pack, to be placed in `custom_nodes`."""

from .nodes import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
