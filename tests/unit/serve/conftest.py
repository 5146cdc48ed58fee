"""A service without workers, clients of it, and its queue on both kinds of database."""

import pytest

from helpers.postgres import postgres
from helpers.service import client_of, running, send_inputs
from pcavs.serve.database import Database
from pcavs.serve.people import People
from pcavs.serve.tables import metadata


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


@pytest.fixture(scope="session")
def postgres_server():
    with postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """An empty database of each kind, with the user of a service without tokens."""
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}" if is_sqlite else request.getfixturevalue("postgres_server").url
    database = Database(url)
    People(database)
    yield database
    if not is_sqlite:
        with database.write() as connection:
            metadata.drop_all(connection)
    database.close()
