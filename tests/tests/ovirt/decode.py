"""What oVirt's own reader makes of tickets: `decode.py CERTIFICATE`, a ticket a line in, a verdict a line out.

With a key and a span in seconds behind the certificate it makes one ticket of each line instead."""
import os
import sys
import warnings

warnings.simplefilter("ignore")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer"))
import ticket

certificate, *rest = sys.argv[1:]
for line in sys.stdin:
    line = line.rstrip("\n")
    if rest:
        key, lifetime = rest
        print(ticket.TicketEncoder(certificate, key, int(lifetime)).encode(line).decode())
        continue
    try:
        with open(certificate) as file:
            decoder = ticket.TicketDecoder(ca=None, eku=None, peer=file.read())
        print("taken", decoder.decode(line))
    except Exception as error:
        print("refused", type(error).__name__, error)
