"""Runs torch on one thread: the networks are small, and other processes share the cores."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)
