"""Networks: tensors in, tensors out; the talker and its parts."""
