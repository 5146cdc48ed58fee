"""A service without workers, and clients of it."""

import pytest

from helpers.service import client_of, running, send_inputs


@pytest.fixture
def service(tmp_path):
    with running(tmp_path / "data") as service:
        yield service


@pytest.fixture
def client(service):
    return client_of(service)


@pytest.fixture
def inputs(client, composite, tmp_path):
    """Ids of a photograph and a sound."""
    return send_inputs(client, composite, tmp_path)
