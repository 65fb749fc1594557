"""What websockify's class was given, as the configuration of one listener.

In: the attributes of a proxy. Out: the text of a configuration, what its operator should know, and descriptors that have to stay open; or
what can't be served. The socket is no part of it: websockify makes it, and the engine takes it over.
"""

import os
import ssl
from dataclasses import dataclass, field

from websockify import auth_plugins

from penstock.websockify.refusal import Unsupported

NAME = "websockify"
# Of TLS 1.2; those of TLS 1.3 can't be chosen among, in OpenSSL's list neither.
SUITES = {
    f"ECDHE-{signature}-{cipher}"
    for signature in ("ECDSA", "RSA")
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
}
OLDER = ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


@dataclass
class Listener:
    """A configuration, and what goes with it."""

    text: str = ""
    warnings: list = field(default_factory=list)
    descriptors: list = field(default_factory=list)


def of(server, terms=None, patience=30):
    """The configuration of `server`. `terms` are further keys of its listener, in TOML; `patience` is how long plugins may think, in seconds."""
    listener = Listener()
    keys = {
        "name": NAME,
        "service": "console",
        "policy": "host",
        # Who may ask is said by plugins.
        "origins": ["*"],
        "access": ["allow all"] if server.token_plugin is None else ["deny to_linklocal", "allow all"],
        "heartbeat": seconds(server.heartbeat),
        "timeouts": {"idle": "off", "lifetime": "off", "token": seconds(patience)},
    }
    keys.update(encryption(server, listener))
    keys.update(pages(server, "client_ca" in keys.get("tls", {}), listener))
    if server.record:
        keys["record"] = {"path": server.record, "format": "websockify"}
    if server.run_once:
        keys["max_sessions"] = 1
    if server.ssl_target:
        keys["upstream_tls"] = {"ca": "system"}
        listener.warnings.append("ssl_target: certificates of targets are verified, by the system's authorities and by name")
    keys.update(terms or {})
    keepalive(server, listener)
    engine = {"keepalive": seconds(server.tcp_keepidle or 30) if server.tcp_keepalive else "off"}
    listener.text = "[engine]\n" + lines(engine) + "\n[[listen]]\n" + lines(keys)
    if server.traffic:
        listener.warnings.append("traffic: is not shown, as bytes do not pass through Python")
    return listener


def keepalive(server, listener):
    for name in ("tcp_keepcnt", "tcp_keepintvl"):
        if server.tcp_keepalive and getattr(server, name):
            listener.warnings.append(f"{name} has no effect: three probes, at intervals as long as tcp_keepidle")


def encryption(server, listener):
    """TLS with browsers, if there is a certificate."""
    # Without a name it is the folder in which websockify was started.
    if not os.path.isfile(server.cert):
        if server.ssl_only:
            raise Unsupported(f"SSL only and {server.cert} not found")
        return {}
    options = server.ssl_options or 0
    table = {"cert": server.cert, "key": server.key or server.cert, "min_version": oldest(options, listener)}
    if server.key_password:
        table["key_password_file"] = kept(server.key_password, listener)
    if server.verify_client:
        # Whoever comes in the clear has none to show. Who comes by TLS, and without one, is denied with the request.
        table.update(client_auth="require" if server.ssl_only else "optional", client_ca=server.cafile or authorities())
        warn_of_strangers(server, listener)
    if server.ssl_ciphers:
        judge_ciphers(server.ssl_ciphers, table["min_version"], listener)
    return {"tls": table, "tls_only": bool(server.ssl_only)}


def warn_of_strangers(server, listener):
    """websockify lets them in, too."""
    if not server.ssl_only:
        listener.warnings.append("verify_client: whoever comes in the clear is asked for no certificate: ssl_only keeps them out")
    if not server.cafile:
        listener.warnings.append("verify_client: a certificate of any public authority will do: name your own by cafile")


def oldest(options, listener):
    """The oldest version of TLS that may be spoken."""
    if options & ssl.OP_NO_TLSv1_2:
        if options & ssl.OP_NO_TLSv1_3:
            raise Unsupported("ssl_options: TLS 1.2 and 1.3 are spoken, and both are switched off")
        return "1.3"
    if options & ssl.OP_NO_TLSv1_3:
        listener.warnings.append("ssl_options: TLS 1.3 can't be switched off")
    if options & OLDER == ssl.OP_NO_TLSv1:
        listener.warnings.append("ssl_options: TLS 1.1 is not spoken, 1.2 is the oldest")
    return "1.2"


def judge_ciphers(ciphers, oldest_version, listener):
    """OpenSSL's list has no effect, unless nothing would be left of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.set_ciphers(ciphers)
    except ssl.SSLError as error:
        raise Unsupported(f"ssl_ciphers: {ciphers}: {error}") from error
    named = {cipher["name"] for cipher in context.get_ciphers()}
    if oldest_version == "1.2" and not named & SUITES:
        raise Unsupported(f"ssl_ciphers: {ciphers} has none that is spoken with TLS 1.2: {', '.join(sorted(SUITES))}")
    listener.warnings.append("ssl_ciphers has no effect: AES-GCM and ChaCha20-Poly1305 are spoken, with forward secrecy")


def authorities():
    paths = ssl.get_default_verify_paths()
    for path in (paths.cafile, *AUTHORITIES):
        if path and os.path.exists(path):
            return path
    raise Unsupported("verify_client: this system has no file of authorities: name one by cafile")


def kept(secret, listener):
    """The path of a file that nobody else has, with a secret in it."""
    if isinstance(secret, str):
        secret = secret.encode()
    descriptor = os.memfd_create("penstock-secret", os.MFD_CLOEXEC)
    os.write(descriptor, secret + b"\n")
    listener.descriptors.append(descriptor)
    return f"/proc/self/fd/{descriptor}"


def pages(server, shows_certificates, listener):
    """Pages are the engine's, and who may have them, too."""
    if not server.web:
        return {}
    plugin = getattr(server, "auth_plugin", None)
    if not server.web_auth or plugin is None:
        return {"web": server.web}
    kind = type(plugin)
    if kind not in (auth_plugins.BasicHTTPAuth, auth_plugins.ExpectOrigin, auth_plugins.ClientCertCNAuth):
        raise Unsupported(
            f"web_auth: pages are served by the engine, which can't ask {kind.__name__}: serve them elsewhere, or use BasicHTTPAuth or ClientCertCNAuth"
        )
    reason = why_nobody(plugin, shows_certificates)
    if reason:
        listener.warnings.append(f"web_auth: pages are not served, as nobody could have them: {reason}")
        return {}
    source = plugin.src if kind is auth_plugins.BasicHTTPAuth else " ".join(plugin.source)
    return {"web": server.web, "auth": {"plugin": kind.__name__, "source": source}, "web_auth": True}


def why_nobody(plugin, shows_certificates):
    """Why this plugin would let nobody see a page, if so."""
    kind = type(plugin)
    if kind is auth_plugins.ExpectOrigin:
        return "who opens a page sends no Origin, for which ExpectOrigin asks"
    if kind is auth_plugins.BasicHTTPAuth:
        return None if ":" in (plugin.src or "") else "the source of BasicHTTPAuth is no `user:password`"
    if not plugin.source:
        return "the source of ClientCertCNAuth has no names"
    return None if shows_certificates else "ClientCertCNAuth judges certificates, and nobody is asked for one without TLS and verify_client"


def seconds(count):
    """Off by 0. For websockify, a heartbeat below that is as often as it looks, which is each second."""
    return f"{max(1, int(count))}s" if count else "off"


def lines(keys):
    return "".join(f"{key} = {value(what)}\n" for key, what in keys.items())


def value(what):
    """A value in TOML."""
    if isinstance(what, bool):
        return "true" if what else "false"
    if isinstance(what, int):
        return str(what)
    if isinstance(what, str):
        return string(what)
    if isinstance(what, dict):
        return "{ " + ", ".join(f"{key} = {value(each)}" for key, each in what.items()) + " }"
    return "[" + ", ".join(value(each) for each in what) + "]"


def string(text):
    """A basic string. What is no text, such as a path in another encoding, can't be written."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unsupported(f"{text!r} is no UTF-8: give it another name") from error
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'
