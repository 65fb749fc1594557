#!/usr/bin/python3
"""A super-server: inetd.py ADDRESS PORT PROGRAM ARGUMENTS... starts the program with a listening socket as its standard input."""
import os
import socket
import sys

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((sys.argv[1], int(sys.argv[2])))
listener.listen()
os.dup2(listener.fileno(), 0)
os.execv(sys.argv[3], sys.argv[3:])
