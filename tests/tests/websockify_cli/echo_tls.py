#!/usr/bin/python3
"""A target on TLS: echo_tls.py ADDRESS PORT CERTIFICATE KEY gives back what it gets."""
import socketserver
import ssl
import sys

address, port, certificate, key = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        with context.wrap_socket(self.request, server_side=True) as stream:
            while data := stream.recv(65536):
                stream.sendall(data)


socketserver.ThreadingTCPServer((address, int(port)), Echo).serve_forever()
