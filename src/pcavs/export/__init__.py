"""Converts any bundle into networks that animate without torch."""
