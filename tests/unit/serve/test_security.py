"""What strangers try: tokens, foreign pages, other hosts, limits, private addresses."""

import http.server
import json
import logging
import socket
import threading
import time

import pytest
from sqlalchemy import update

from helpers.service import client_of, make_token, order, running, send_inputs
from pcavs.errors import InputError
from pcavs.serve import outside
from pcavs.serve.hooks import Hooks, shown_key, signed_headers, webhook_key
from pcavs.serve.keep import with_fetched
from pcavs.serve.log import JsonFormatter
from pcavs.serve.options import ServeOptions
from pcavs.serve.order import TalkOrder
from pcavs.serve.outside import Outside, is_public
from pcavs.serve.run import serve
from pcavs.serve.tables import hooks, jobs, now_s, owners, uploads


@pytest.mark.parametrize("header", [None, "Bearer no", "Basic no", "Basic Og==", "Bearer ", "Digest x", "Bearer \xff"])
def test_without_a_valid_token_nothing_is_served(service, header):
    make_token(service)
    client = client_of(service)
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    for method, path in [("GET", "/talks"), ("POST", "/images"), ("GET", "/metrics"), ("DELETE", "/talks/tlk_x")]:
        refused = client.request(method, path, headers=headers)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
    assert client.get("/healthz").status_code == 200
    assert client.get("/").status_code == 200


def test_tokens_come_as_bearer_or_as_either_part_of_basic(service):
    token = make_token(service)
    client = client_of(service)
    assert client.get("/talks", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert client.get("/talks", auth=(token, "")).status_code == 200
    assert client.get("/talks", auth=("api", token)).status_code == 200


def test_tokens_are_stored_as_hashes_and_can_be_revoked(service):
    token = make_token(service, "me")
    stored = b"".join(path.read_bytes() for path in service.folder.glob("jobs.sqlite*"))
    assert token.encode() not in stored
    client = client_of(service, token)
    assert client.get("/talks").status_code == 200
    service.people.revoke("me")
    time.sleep(1.1)  # valid tokens are remembered for a second
    assert client.get("/talks").status_code == 401
    with pytest.raises(InputError, match="there is no valid token named me"):
        service.people.revoke("me")


def test_who_guesses_tokens_has_to_wait(service):
    make_token(service)
    client = client_of(service)
    codes = [client.get("/talks", headers={"Authorization": f"Bearer {n}"}).status_code for n in range(25)]
    assert codes[:20] == [401] * 20
    assert set(codes[20:]) <= {401, 429}
    assert codes[-1] == 429


def test_requests_are_limited_by_token(service):
    slow, other = make_token(service, "slow", requests_per_minute=3), make_token(service, "other")
    client = client_of(service, slow)
    codes = [client.get("/talks").status_code for _ in range(5)]
    assert codes == [200, 200, 200, 429, 429]
    assert int(client.get("/talks").headers["retry-after"]) <= 21
    assert client_of(service, other).get("/talks").status_code == 200


def test_films_and_space_are_limited_by_token(service, composite, tmp_path):
    client = client_of(service, make_token(service, waiting=2, films_per_day=3, storage_bytes=300_000))
    inputs = send_inputs(client, composite, tmp_path)
    assert [client.post("/talks", json=order(*inputs)).status_code for _ in range(3)] == [201, 201, 429]
    service.queue.fail(service.queue.take("w"), "no")
    service.queue.fail(service.queue.take("w"), "no")
    assert client.post("/talks", json=order(*inputs)).status_code == 201
    service.queue.fail(service.queue.take("w"), "no")
    refused = client.post("/talks", json=order(*inputs))
    assert (refused.status_code, refused.json()["detail"]) == (429, "you ordered 3 films today; order more tomorrow")
    with service.database.write() as connection:
        connection.execute(update(owners).values(day_from=now_s() - 90_000))
    assert client.post("/talks", json=order(*inputs)).status_code == 201
    sent = [client.post("/images", files={"image": composite.open("rb")}).status_code for _ in range(9)]
    assert sent[-1] == 507


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
    ],
)
def test_without_tokens_only_names_of_this_machine_are_served(service, host, code):
    assert client_of(service).get("/talks", headers={"Host": host}).status_code == code


def test_without_tokens_other_machines_are_not_served(service):
    client = client_of(service, client=("192.0.2.7", 1000))
    assert client.get("/talks").status_code == 403
    make_token(service)
    assert client.get("/talks").status_code == 401


def test_without_tokens_only_loopback_can_be_listened_on(tmp_path):
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(InputError, match="make a token first"):
            serve(ServeOptions(host=host, data=tmp_path / "data"))


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://localhost.evil.example", "file://"])
def test_pages_of_other_hosts_cannot_order(service, origin):
    client = client_of(service)
    for path in ("/talks", "/images", "/speech"):
        refused = client.post(path, content=b"{}", headers={"Origin": origin, "Content-Type": "text/plain"})
        assert refused.status_code == 403
    assert client.post("/talks", json={}, headers={"Origin": "http://localhost"}).status_code == 422
    assert "access-control-allow-origin" not in client.get("/talks", headers={"Origin": origin}).headers


def test_cors_is_for_named_pages_only(tmp_path):
    with running(tmp_path / "data", cors_origins=("https://app.example",)) as service:
        client = client_of(service)
        mine = client.get("/about", headers={"Origin": "https://app.example"})
        assert mine.headers["access-control-allow-origin"] == "https://app.example"
        other = client.get("/about", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        assert "access-control-allow-credentials" not in mine.headers


def test_ids_are_random_and_paths_lead_nowhere(client, service):
    (service.folder / "secret.txt").write_text("secret")
    for path in ("/talks/..%2f..%2fsecret.txt/film", "/page/..%2f..%2fapp.py", "/page/%2e%2e/app.py", "/images/..%2fx"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "secret" not in answer.text


def test_addresses_of_films_are_signed(client, service, inputs):
    talk = client.post("/talks", json=order(*inputs)).json()["id"]
    job = service.queue.take("w")
    part = service.store.work / "film"
    part.write_bytes(b"film")
    key = f"films/{talk}.mp4"
    service.queue.finish(job, {}, key, 4, lambda: service.store.publish(part, key))
    url = client.get(f"/talks/{talk}").json()["result_url"]
    make_token(service)
    stranger = client_of(service)
    assert stranger.get(url).content == b"film"
    assert stranger.get(f"/talks/{talk}/film").status_code == 401
    later = url.replace("until=", "until=9")
    assert stranger.get(later).status_code == 401
    assert stranger.get(url[:-1] + ("0" if url[-1] != "0" else "1")).status_code == 401
    other = client_of(service, make_token(service, "other"))
    assert other.get(f"/talks/{talk}/film").status_code == 404


PRIVATE = [
    "127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2001:db8::1", "no address",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_known_in_every_form(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_known(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://allowed.example/x", "https://other.example/", "https://2130706433/", "https://127.0.0.1/", "https://[::1]/",
        "https://0x7f.1/", "https://allowed.example@evil.example/", "https://user:secret@allowed.example/",
        "https://allowed.example.evil.example/", "file:///etc/passwd", "gopher://allowed.example/", "https://",
        "https://allowed.example:99999/", "https://allowed.example/a b", "https://allowed.example/\r\nX: y",
        "//allowed.example",
        "https://evil.example#@allowed.example", "https://evil.example\\@allowed.example/",
    ],
)  # fmt: skip
def test_other_hosts_than_the_allowed_are_not_asked(url):
    with pytest.raises(InputError):
        Outside(["allowed.example"]).check(url)


def test_a_name_with_a_private_address_is_not_asked(monkeypatch):
    asked = []
    monkeypatch.setattr(outside.socket, "create_connection", lambda *given: asked.append(given))
    for addresses in (["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:169.254.169.254"], []):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, 443)) for address in addresses]
        monkeypatch.setattr(outside.socket, "getaddrinfo", lambda *_, found=found, **__: found)
        with pytest.raises(InputError, match="private address"):
            Outside(["allowed.example"]).request("GET", "https://allowed.example/")
    assert asked == []


def test_the_checked_address_is_the_one_that_is_connected_to(monkeypatch):
    """A name that changes its address after the check (DNS rebinding) does not matter: it is looked up once."""
    looked, asked = [], []

    def look(*given, **_):
        looked.append(given)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("8.8.8.8" if len(looked) == 1 else "127.0.0.1", 443))]

    def connect(address, *_):
        asked.append(address)
        raise OSError("no network in tests")

    monkeypatch.setattr(outside.socket, "getaddrinfo", look)
    monkeypatch.setattr(outside.socket, "create_connection", connect)
    with pytest.raises(InputError, match="cannot be reached"):
        Outside(["allowed.example"]).request("GET", "https://allowed.example/")
    assert asked == [("8.8.8.8", 443)]
    assert len(looked) == 1


@pytest.fixture
def neighbour():
    """Another host: it serves what tests put into `pages`, and keeps what it is sent."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = pages.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            got.append((self.path, dict(self.headers), self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(statuses.pop(0) if statuses else 200)
            self.end_headers()

        def log_message(self, *_):
            pass

    pages, got, statuses = {}, [], []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.pages, server.got, server.statuses = pages, got, statuses
    server.address = f"http://localhost:{server.server_port}"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_files_of_allowed_hosts_are_fetched_without_following_redirects(tmp_path, composite, neighbour):
    neighbour.pages["/face"] = (200, {}, composite.read_bytes())
    neighbour.pages["/moved"] = (302, {"Location": "http://127.0.0.1:1/secret"}, b"")
    neighbour.pages["/text"] = (200, {}, b"no picture")
    with running(tmp_path / "data", fetch_hosts=("localhost",)) as service:
        inputs = send_inputs(client_of(service), composite, tmp_path)
        mine = service.people.local()
        refused = TalkOrder.model_validate(order(f"{neighbour.address}/face", inputs[1]))
        with pytest.raises(InputError, match="must begin with https"):
            with_fetched(refused, mine, service)
        service.fetch_hosts = Outside(["localhost"], private=True)
        fetched = with_fetched(refused, mine, service).source_url
        assert client_of(service).get(f"/images/{fetched}").json()["bytes"] == composite.stat().st_size
        for path, line in (("moved", "answers with status 302"), ("text", "no picture"), ("none", "status 404")):
            with pytest.raises(InputError, match=line):
                with_fetched(TalkOrder.model_validate(order(f"{neighbour.address}/{path}", inputs[1])), mine, service)
        assert list(service.store.work.iterdir()) == []


def test_webhooks_are_signed_and_sent_again(tmp_path, composite, neighbour):
    neighbour.statuses += [500]
    with running(tmp_path / "data", webhook_hosts=("localhost",)) as service:
        client = client_of(service)
        inputs = send_inputs(client, composite, tmp_path)
        told = {"webhook": f"{neighbour.address}/told"}
        assert client.post("/talks", json=order(*inputs, **told)).status_code == 422  # no https
        service.webhook_hosts = Outside(["localhost"], private=True)
        sender = Hooks(service.database, service.webhook_hosts, service.secret)
        talk = client.post("/talks", json=order(*inputs, **told)).json()["id"]
        service.queue.fail(service.queue.take("w"), "no face")
        assert sender.send_due() == 0
        assert sender.send_due() == 0  # not due yet
        with service.database.write() as connection:
            connection.execute(update(hooks).values(due_at=0.0))
        assert sender.send_due() == 1
        assert sender.send_due() == 0
        key = client.get("/webhook-key").json()["key"]
        assert key == shown_key(webhook_key(service.secret, "local"))
    (first, second) = neighbour.got
    path, headers, body = second
    named = {name.lower(): value for name, value in headers.items()}
    assert path == "/told"
    assert json.loads(body)["data"] == {"id": talk, "status": "error", "error": "no face"}
    expected = signed_headers(
        webhook_key(service.secret, "local"), named["webhook-id"], int(named["webhook-timestamp"]), body
    )
    assert named["webhook-signature"] == expected["webhook-signature"]
    assert first[1]["webhook-id"] == named["webhook-id"]


def test_what_has_expired_is_removed(client, service, inputs):
    talk = client.post("/talks", json=order(*inputs)).json()["id"]
    job = service.queue.take("w")
    part = service.store.work / "film"
    part.write_bytes(b"film")
    service.queue.finish(job, {}, f"films/{talk}.mp4", 4, lambda: service.store.publish(part, f"films/{talk}.mp4"))
    service.expire()
    assert client.get(f"/talks/{talk}/film").content == b"film"
    with service.database.write() as connection:
        connection.execute(update(jobs).values(expires_at=now_s() - 1))
        connection.execute(update(uploads).values(expires_at=now_s() - 1))
    service.expire()
    assert client.get(f"/talks/{talk}").status_code == 404
    assert client.get(f"/images/{inputs[0]}").status_code == 404
    assert [path for name in ("films", "uploads", "work") for path in (service.folder / name).iterdir()] == []


def test_uploads_of_a_waiting_film_are_kept_for_it(client, service, inputs):
    with service.database.write() as connection:
        connection.execute(update(uploads).values(expires_at=now_s() + 1))
    client.post("/talks", json=order(*inputs))
    with service.database.read() as connection:
        left = [row.expires_at for row in connection.execute(uploads.select()).all()]
    assert min(left) > service.database.now() + 6 * 86_400


def test_logs_name_nobody(service, composite, tmp_path, caplog):
    token = make_token(service)
    client = client_of(service, token, client=("192.0.2.99", 1))
    with caplog.at_level(logging.INFO, logger="pcavs.serve"):
        inputs = send_inputs(client, composite, tmp_path)
        talk = client.post("/talks", json=order(*inputs, name="Ada Example", user_data="secret")).json()["id"]
        client.get(f"/talks/{talk}?search=private")
    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert len(lines) == 4
    assert json.loads(lines[-1])["route"] == "/talks/{name}"
    for word in (token, "Ada", "secret", "192.0.2.99", talk, inputs[0], "private"):
        assert not any(word in line for line in lines)
