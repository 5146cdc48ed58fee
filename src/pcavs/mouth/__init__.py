"""Draws a speaking mouth: lip and jaw motion, lips, teeth and the inside of the mouth."""
