"""Peer: requests, one token on stdout."""

import os

import requests

variable = os.environ
answer = requests.post(
    variable["NTXPAY_BASE_URL"] + "/api/auth/token",
    data={"grant_type": "client_credentials"},
    auth=(variable["NTXPAY_CLIENT_ID"], variable["NTXPAY_CLIENT_SECRET"]),
    cert=(variable["NTXPAY_CLIENT_CERT"], variable["NTXPAY_CLIENT_KEY"]),
    verify=variable["PAYTOKEN_CA"],
    timeout=15,
)
answer.raise_for_status()
print(answer.json()["access_token"])
