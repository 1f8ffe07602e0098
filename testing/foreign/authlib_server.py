"""Authlib's authorization server on a free port of 127.0.0.1 by TLS: authlib_server.py SETTINGS.json
README.md tells what the settings are, and what is written to stdout."""

import json
import os
import secrets
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Request, grants
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc import jwk
from joserfc.jws import JWSRegistry

with open(sys.argv[1], encoding="utf-8") as file:
    settings = json.load(file)
url = ""
tokens = {}
replayed = set()
lock = threading.Lock()
request_of = threading.local()


class Client(ClientMixin):
    def __init__(self, metadata):
        self.metadata = metadata
        self.scope = metadata.get("scope", "").split()

    def get_client_id(self):
        return self.metadata["client_id"]

    def check_client_secret(self, secret):
        return secrets.compare_digest(self.metadata["client_secret"].encode(), secret.encode())

    def check_endpoint_auth_method(self, method, endpoint):
        method = {JWTBearerClientAssertion.CLIENT_AUTH_METHOD: "private_key_jwt"}.get(method, method)
        return self.metadata["token_endpoint_auth_method"] == method

    def check_grant_type(self, grant_type):
        return grant_type == "client_credentials"

    def get_allowed_scope(self, scope):
        return " ".join(one for one in (scope or "").split() if one in self.scope)

    def public_key(self):
        kid = self.metadata.get("kid")
        return jwk.import_key(self.metadata["public_key"], parameters={"kid": kid} if kid else None)


clients = {metadata["client_id"]: Client(metadata) for metadata in settings["clients"]}


class Request(OAuth2Request):
    def __init__(self, handler):
        super().__init__(handler.command, url + handler.path, headers=handler.headers)
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0))).decode()
        self.pairs = dict(parse_qsl(body, keep_blank_values=True))
        self.payload = BasicOAuth2Payload(self.pairs)

    @property
    def form(self):
        return self.pairs


class Server(AuthorizationServer):
    def query_client(self, client_id):
        client = clients.get(client_id)
        if client:
            request_of.client = client_id
        return client

    def save_token(self, token, request):
        ends = time.time() + token["expires_in"]
        tokens[token["access_token"]] = (request.client.get_client_id(), token.get("scope"), ends)

    def create_oauth2_request(self, request):
        return request

    def handle_response(self, status, payload, headers):
        return status, json.dumps(payload).encode(), headers

    def send_signal(self, name, *arguments, **named):
        pass


class Assertion(JWTBearerClientAssertion):
    def get_audiences(self):
        return [f"{url}/token", url]

    def validate_jti(self, claims, jti):
        with lock:
            is_new = (claims["sub"], jti) not in replayed
            replayed.add((claims["sub"], jti))
        return is_new

    def resolve_client_public_key(self, client):
        return client.public_key()


class ClientCredentials(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post", Assertion.CLIENT_AUTH_METHOD]


# As it comes it takes RS256 and ES256 alone.
JWSRegistry.recommended.extend(["PS256", "EdDSA"])
server = Server(sorted({scope for client in clients.values() for scope in client.scope}))
server.register_client_auth_method(Assertion.CLIENT_AUTH_METHOD, Assertion())
server.register_grant(ClientCredentials)
generator = BearerTokenGenerator(lambda **_: secrets.token_urlsafe(), expires_generator=lambda *_: settings["lifetime"])
server.register_token_generator("default", generator)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request_of.client = "-"
        request = Request(self)
        response = server.create_token_response(request) if (self.command, self.path) == ("POST", "/token") else (404, b"", [])
        # Before the answer is on its way: whoever has it finds the line.
        print(self.command, self.path, request_of.client, response[0], flush=True)
        self.answer(*response)

    def do_GET(self):
        if self.path != "/whoami":
            return self.do_POST()
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        client_id, scope, ends = tokens.get(token, ("", "", 0))
        if time.time() > ends:
            return self.answer(401, b"", [])
        self.answer(200, json.dumps({"client_id": client_id, "scope": scope}).encode(), [])

    def answer(self, status, body, headers):
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Listener(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        # A handshake that failed, a client that hung up: the test's matter.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def end_with_stdin():
    sys.stdin.read()
    os._exit(0)


sys.stdout.reconfigure(encoding="utf-8")
listener = Listener(("127.0.0.1", 0), Handler)
url = f"https://127.0.0.1:{listener.server_port}"
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=settings["ca"])
context.load_cert_chain(settings["certificate"], settings["key"])
context.verify_mode = ssl.CERT_REQUIRED if settings["certificate_required"] else ssl.CERT_OPTIONAL
# The handshake is the connection's own thread's: one that hangs holds up no other.
listener.socket = context.wrap_socket(listener.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=end_with_stdin, daemon=True).start()
print("ready", listener.server_port, flush=True)
listener.serve_forever()
