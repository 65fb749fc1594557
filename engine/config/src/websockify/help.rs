//! What `penstock websockify --help` says.

/// How it is called.
pub(super) const USAGE: &str = "Usage:
    penstock websockify [options] [source_addr:]source_port target_addr:target_port
    penstock websockify [options] [source_addr:]source_port --unix-target=FILE
    penstock websockify [options] [source_addr:]source_port --token-plugin=NAME --token-source=ARG";

/// All options, without those that do nothing.
pub(super) const HELP: &str = "
Serves consoles to browsers through WebSocket, with the command line of websockify.

Options:
  -h, --help            show this help message and exit
  -v, --verbose         more messages
  -D, --daemon          become a daemon (background process)
  --run-once            handle a single WebSocket connection and exit
  --timeout=TIMEOUT     after TIMEOUT seconds take no more connections, and exit
                        when the last one has ended
  --idle-timeout=TIMEOUT
                        exit after TIMEOUT seconds without a connection
  --record=FILE         record sessions to FILE.[session_number]
  --heartbeat=INTERVAL  send a ping to the client every INTERVAL seconds; who
                        is silent three times as long is gone

Listening:
  -6, --prefer-ipv6     prefer IPv6 when resolving source_addr
  --unix-listen=FILE    listen on a UNIX socket
  --unix-listen-mode=MODE
                        its permissions, in octal (0600)
  --inetd               standard input is the listening socket

TLS (on the same port as connections in the clear):
  --cert=CERT           certificate file, with its chain (self.pem)
  --key=KEY             key file, if separate from the certificate
  --key-password=KEY_PASSWORD, --key-password-file=FILE
                        what opens the key; of a file, its first line
  --ssl-only            disallow connections in the clear
  --verify-client       require clients on TLS to present a valid certificate
  --cafile=FILE         authorities that sign clients (the system's)
  --ssl-version=SSL_VERSION
                        minimum TLS version: default, tlsv1_2, tlsv1_3

Targets:
  --unix-target=FILE    connect to a UNIX socket
  --ssl-target          connect to the target with TLS; its certificate has to
                        be valid
  --token-plugin=NAME   what tokens are looked up in: TokenFile,
                        ReadOnlyTokenFile, TokenFileName,
                        UnixDomainSocketDirectory, BaseTokenAPI, JSONTokenApi,
                        JWTTokenApi, TokenRedis
  --token-source=ARG, --token-source-file=FILE
                        its file, folder, URL or server; or a file that says it
  --target-config=FILE  the same as --token-plugin TokenFile --token-source FILE
  --host-token          the token is the name in the Host header

Pages and who may have them:
  --web=DIR             serve files from DIR on the same port
  --web-auth            require authentication for them, too
  --auth-plugin=NAME    BasicHTTPAuth, ExpectOrigin or ClientCertCNAuth
  --auth-source=ARG, --auth-source-file=FILE
                        user:password, or origins, or names; or a file that has
                        them

Logs:
  --log-file=FILE       messages and connections are written there, too
  --syslog=SERVER       messages go to this socket (/dev/log) or UDP host:port
  --legacy-syslog       in the old protocol instead of RFC 5424

Accepted, without effect: --traffic, --libserver, --file-only (folders are never
listed), --wrap-mode. Not supported: --ssl-ciphers, a command behind
`--`, plugins of your own.
";
