"""Makes keys in a folder and tokens for them, by jwcrypto; asks websockify's plugin what it makes of each; prints all of it as JSON."""

import base64
import contextlib
import hashlib
import hmac
import io
import json
import os
import sys
import time

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, PublicFormat)
from jwcrypto import jwe, jwk, jws, jwt
from websockify.token_plugins import JWTTokenApi

FOLDER = sys.argv[1]
CLAIMS = {"host": "vm", "port": 5900}
NOW = int(time.time())
made = []


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def write(name, data):
    with open(os.path.join(FOLDER, name), "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())
    return name


def add(name, key, token):
    with contextlib.redirect_stderr(io.StringIO()):
        found = JWTTokenApi(os.path.join(FOLDER, key)).lookup(token)
    found = "%s:%s" % found if found else None
    made.append({"name": name, "key": key, "token": token, "websockify": found})


def signed(key, alg, claims=CLAIMS, header=None):
    token = jws.JWS(claims if isinstance(claims, str) else json.dumps(claims))
    token.allowed_algs = [alg]
    token.add_signature(key, alg, json.dumps({"alg": alg, **(header or {})}))
    return token.serialize(compact=True)


def hidden(key, alg, enc, content, header=None):
    token = jwe.JWE(content, json.dumps({"alg": alg, "enc": enc, **(header or {})}))
    token.allowed_algs = [alg, enc]
    token.add_recipient(key)
    return token.serialize(compact=True)


def oct_key(name, length, text=None):
    key = jwk.JWK.generate(kty="oct", size=8 * length)
    return key, write(name, text(key.export(as_dict=True)["k"]) if text else key.export(as_dict=True)["k"])


def pems(name, key):
    """Files with the private and the public key."""
    private = write(name + ".pem", key.export_to_pem(private_key=True, password=None))
    public = write(name + ".pub", key.export_to_pem())
    return private, public


# Signed, with every algorithm, for public and private keys.
secret, secret_file = oct_key("secret", 64)
for alg in ["HS256", "HS384", "HS512"]:
    add("good " + alg, secret_file, signed(secret, alg))
rsa = jwk.JWK.generate(kty="RSA", size=2048)
rsa_private, rsa_public = pems("rsa", rsa)
for alg in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]:
    for kind, file in [("private", rsa_private), ("public", rsa_public)]:
        add("good %s %s" % (alg, kind), file, signed(rsa, alg))
for alg, curve in [("ES256", "P-256"), ("ES384", "P-384"), ("ES512", "P-521"), ("ES256K", "secp256k1")]:
    key = jwk.JWK.generate(kty="EC", crv=curve)
    private, public = pems(alg, key)
    add("good %s private" % alg, private, signed(key, alg))
    add("good %s public" % alg, public, signed(key, alg))
    old = key.get_op_key("sign").private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    add("good %s as before PKCS 8" % alg, write(alg + ".old", old), signed(key, alg))
ed = jwk.JWK.generate(kty="OKP", crv="Ed25519")
for kind, file in zip(["private", "public"], pems("ed", ed)):
    add("good EdDSA " + kind, file, signed(ed, "EdDSA"))
old = rsa.get_op_key("sign").private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
add("good RSA as before PKCS 8", write("rsa.old", old), signed(rsa, "RS256"))
old = rsa.get_op_key("verify").public_bytes(Encoding.PEM, PublicFormat.PKCS1)
add("good RSA public as before", write("rsa.oldpub", old), signed(rsa, "RS256"))

# Encrypted.
contents = {"A128GCM": 16, "A192GCM": 24, "A256GCM": 32, "A128CBC-HS256": 32, "A192CBC-HS384": 48, "A256CBC-HS512": 64}
for enc, length in contents.items():
    key, file = oct_key("dir" + enc, length)
    add("good dir " + enc, file, hidden(key, "dir", enc, signed(key, "HS256")))
    for alg in ["RSA-OAEP", "RSA-OAEP-256"]:
        add("good %s %s" % (alg, enc), rsa_private, hidden(rsa, alg, enc, signed(rsa, "PS256")))
    for alg, wrap in [("A128KW", 16), ("A256KW", 32), ("A128GCMKW", 16), ("A192GCMKW", 24), ("A256GCMKW", 32)]:
        key, file = oct_key(alg + enc, wrap)
        add("good %s %s" % (alg, enc), file, hidden(key, alg, enc, signed(key, "HS256")))

# Forms of claims and of keys.
add("good port as text", secret_file, signed(secret, "HS256", {"host": "vm", "port": "5900"}))
add("good more claims", secret_file, signed(secret, "HS256", {**CLAIMS, "sub": "x", "aud": ["y"], "iat": NOW}))
add("good in time", secret_file, signed(secret, "HS256", {**CLAIMS, "nbf": NOW - 100, "exp": NOW + 100}))
short, file = oct_key("short", 16)
add("good HS256 with a short secret", file, signed(short, "HS256"))
plus = jwk.JWK(kty="oct", k=b64(b"\xfb\xff\xfe" * 11))
file = write("plus", base64.b64encode(b"\xfb\xff\xfe" * 11))
add("good secret in the other alphabet", file, signed(plus, "HS256"))
odd, file = oct_key("line", 32, lambda text: text + "\n")
add("ours secret with a line feed", file, signed(odd, "HS256"))

# A minute may lie between two clocks; websockify's plugin has no patience.
add("ours just expired", secret_file, signed(secret, "HS256", {**CLAIMS, "exp": NOW - 30}))
add("ours not quite yet", secret_file, signed(secret, "HS256", {**CLAIMS, "nbf": NOW + 30}))
add("late expired", secret_file, signed(secret, "HS256", {**CLAIMS, "exp": NOW - 90}))
add("late expired long ago", secret_file, signed(secret, "HS256", {**CLAIMS, "exp": 1}))
add("early not yet", secret_file, signed(secret, "HS256", {**CLAIMS, "nbf": NOW + 100}))
add("bad exp is text", secret_file, signed(secret, "HS256", {**CLAIMS, "exp": "never"}))

# Forged.
header, payload = b64(b'{"alg":"none"}'), b64(json.dumps(CLAIMS).encode())
for file in [secret_file, rsa_public, rsa_private]:
    add("bad none", file, "%s.%s." % (header, payload))
for name in ["None", "NONE", "nOnE", ""]:
    add("bad none as " + name, secret_file, "%s.%s." % (b64(json.dumps({"alg": name}).encode()), payload))
public_text = open(os.path.join(FOLDER, rsa_public), "rb").read()
for alg, digest in [("HS256", hashlib.sha256), ("HS512", hashlib.sha512)]:
    head = b64(json.dumps({"alg": alg}).encode())
    der = base64.b64decode(b"".join(public_text.splitlines()[1:-1]))
    for material in [public_text, public_text.strip(), der]:
        mac = hmac.new(material, ("%s.%s" % (head, payload)).encode(), digest).digest()
        forged = "%s.%s.%s" % (head, payload, b64(mac))
        add("bad %s with the public key" % alg, rsa_public, forged)
        add("bad %s with the public key of the private one" % alg, rsa_private, forged)
good = signed(secret, "HS256")
head, body, signature = good.split(".")
other_claims = b64(json.dumps({"host": "evil", "port": 1}).encode())
add("bad other claims", secret_file, ".".join([head, other_claims, signature]))
add("bad other key", write("other", b64(os.urandom(64))), good)
add("bad cut", secret_file, good[:-4])
add("bad no signature", secret_file, "%s.%s." % (head, body))
add("bad two parts", secret_file, "%s.%s" % (head, body))
add("bad four parts", secret_file, good + ".x")
add("bad no token", secret_file, "canary")
add("bad nothing", secret_file, "")
add("bad RS256 for a secret", secret_file, signed(rsa, "RS256"))
add("bad ES256 for RSA", rsa_public, signed(jwk.JWK.generate(kty="EC", crv="P-256"), "ES256"))
add("bad ES384 for P-256", "ES256.pub", signed(jwk.JWK.generate(kty="EC", crv="P-384"), "ES384"))
add("bad critical extension", secret_file, ".".join([b64(b'{"alg":"HS256","crit":["canary"],"canary":1}'), body, signature]))
head = b64(b'{"alg":"HS256","crit":["canary"],"canary":1}')
mac = hmac.new(base64.urlsafe_b64decode(secret.export(as_dict=True)["k"] + "=="), ("%s.%s" % (head, body)).encode(), hashlib.sha256)
add("bad critical extension, signed", secret_file, "%s.%s.%s" % (head, body, b64(mac.digest())))
p256 = jwk.JWK.generate(kty="EC", crv="P-256")
_, p256_public = pems("p256", p256)
for alg in ["none", "HS256", "ES384", "EdDSA"]:
    text = "%s.%s" % (b64(json.dumps({"alg": alg}).encode()), payload)
    numbers = decode_dss_signature(p256.get_op_key("sign").sign(text.encode(), ECDSA(SHA256())))
    signature = b"".join(number.to_bytes(32, "big") for number in numbers)
    add("bad ES256 that calls itself " + alg, p256_public, "%s.%s" % (text, b64(signature)))

# Encrypted and wrong.
key, file = oct_key("wrong", 32)
plain = json.dumps(CLAIMS)
add("bad nothing signed within", file, hidden(key, "dir", "A256GCM", plain))
add("bad signed by another within", file, hidden(key, "dir", "A256GCM", signed(secret, "HS256")))
add("bad none within", file, hidden(key, "dir", "A256GCM", "%s.%s." % (header, payload)))
add("bad encrypted twice", file, hidden(key, "dir", "A256GCM", hidden(key, "dir", "A256GCM", signed(key, "HS256"))))
whole = hidden(key, "dir", "A256GCM", signed(key, "HS256")).split(".")
for part in [0, 2, 3, 4]:
    changed = list(whole)
    changed[part] = ("A" if changed[part][0] != "A" else "B") + changed[part][1:]
    add("bad part %d changed" % part, file, ".".join(changed))
short_tag = list(whole)
short_tag[4] = b64(base64.urlsafe_b64decode(whole[4] + "==")[:4])
add("bad short tag", file, ".".join(short_tag))
cbc_key, cbc_file = oct_key("wrongcbc", 64)
whole = hidden(cbc_key, "dir", "A256CBC-HS512", signed(cbc_key, "HS256")).split(".")
for part in [2, 3, 4]:
    changed = list(whole)
    changed[part] = ("A" if changed[part][0] != "A" else "B") + changed[part][1:]
    add("bad part %d of CBC changed" % part, cbc_file, ".".join(changed))
add("bad other length", write("half", b64(os.urandom(16))), hidden(key, "dir", "A256GCM", signed(key, "HS256")))
add("foreign compressed", file, hidden(key, "dir", "A256GCM", signed(key, "HS256"), {"zip": "DEF"}))
kw, kw_file = oct_key("kw192", 24)
add("foreign A192KW", kw_file, hidden(kw, "A192KW", "A128GCM", signed(kw, "HS256")))
ec = jwk.JWK.generate(kty="EC", crv="P-256")
ec_private, ec_public = pems("ecdh", ec)
for alg in ["ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"]:
    add("foreign " + alg, ec_private, hidden(ec, alg, "A128GCM", signed(ec, "ES256")))
add("bad encrypted for a key that is public here", rsa_public, hidden(rsa, "RSA-OAEP", "A128GCM", signed(rsa, "RS256")))

# Signed well, and leading nowhere.
for name, claims in [
    ("nowhere no port", {"host": "vm"}),
    ("nowhere no host", {"port": 5900}),
    ("nowhere odd URI", {"host": "qemu+ext:///canary", "port": 1}),
    ("nowhere odd path", {"host": "unix_socket", "port": "/run/canary"}),
    ("nowhere odd port zero", {"host": "vm", "port": 0}),
    ("nowhere odd port too large", {"host": "vm", "port": 65536}),
    ("nowhere odd port of fractions", {"host": "vm", "port": 5900.5}),
    ("nowhere odd host", {"host": "$(canary)", "port": 5900}),
    ("nowhere odd kinds", {"host": ["vm"], "port": {"x": 1}}),
]:
    add(name, secret_file, signed(secret, "HS256", claims))
add("bad claims are no object", secret_file, signed(secret, "HS256", "[1]"))
add("bad claims are no JSON", secret_file, signed(secret, "HS256", "vm:5900"))

# Keys that can't be used.
add("locked no file", "missing", good)
add("locked empty", write("empty", ""), good)
add("locked garbage", write("garbage", b"\xff\xfe\x00"), good)
add("locked no key within", write("nokey", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"), good)
small = jwk.JWK.generate(kty="RSA", size=1024)
print_key = write("small", small.export_to_pem())
made.append({"name": "locked small RSA", "key": print_key, "token": good, "websockify": None})

print(json.dumps(made))
