"""Networks: tensors in, tensors out; no files, no losses.

Two models share the paper's structure (identity, speech content and head pose in; a talking face out):

- `flow.FlowModel` warps the photograph: encoders in `identity`, `motion` and `speech`, generator in `generator`.
- `paper.PaperModel` holds the published networks: encoders in `resnet`, `fan` and `seresnet`, generator in `stylegan2`.

`build` makes either of them from a spec, `inference` wraps them as the four functions that a runtime runs, and
`fast_paper` with `winograd` rewrites the published generator for processors. `discriminator` serves training;
`judge`, `lpips` and `syncnet` are evaluation networks.

Names of submodules and parameters are the names of the tensors in a bundle: renaming one makes existing weights
unreadable.
"""
