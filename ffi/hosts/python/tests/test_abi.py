"""The header, as a compiler reads it, and as it is declared here."""

import ctypes
import os
import re
import subprocess
import tempfile
import unittest

from penstock import _abi, engine
from penstock.values import Allow, Deny, Status

HEADER = os.environ.get("PENSTOCK_HEADER", "")
STRUCTURES = {
    "penstock_values": _abi.Values,
    "penstock_tunnel_options": _abi.TunnelOptions,
    "penstock_completion": _abi.Completion,
    "penstock_request": _abi.Request,
    "penstock_decision": _abi.Decision,
    "penstock_counts": _abi.Counts,
}
WORDS = {
    "PENSTOCK_DRIVER_": engine.DRIVERS,
    "PENSTOCK_VERDICT_": engine.VERDICTS,
    "PENSTOCK_LEVEL_": engine.LEVELS,
    "PENSTOCK_WEB_SOCKET_": {word or "none": number for word, number in engine.WEB_SOCKETS.items()},
    "PENSTOCK_HALF_CLOSE_": {word or "default": number for word, number in engine.HALF_CLOSES.items()},
}


@unittest.skipUnless(HEADER, "PENSTOCK_HEADER names no header")
class Header(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(HEADER) as file:
            cls.text = file.read()

    def constants(self, prefix):
        return {name.lower(): int(number) for name, number in re.findall(rf"^ +{prefix}(\w+) = (\d+),$", self.text, re.M)}

    def test_structures_are_the_headers(self):
        lines, expected = [], []
        for name, structure in STRUCTURES.items():
            lines.append(f'printf("%zu\\n", sizeof({name}));')
            expected.append(ctypes.sizeof(structure))
            for field, kind in structure._fields_:
                lines.append(f'printf("%zu %zu\\n", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));')
                expected.append((getattr(structure, field).offset, ctypes.sizeof(kind)))
        program = f'#include <stdio.h>\n#include "{HEADER}"\nint main(void) {{ {" ".join(lines)} return 0; }}\n'
        with tempfile.TemporaryDirectory() as folder:
            source, binary = os.path.join(folder, "a.c"), os.path.join(folder, "a")
            with open(source, "w") as file:
                file.write(program)
            subprocess.run(["cc", source, "-o", binary], check=True)
            found = subprocess.run([binary], check=True, capture_output=True, text=True).stdout.splitlines()
        expected = [str(each) if isinstance(each, int) else f"{each[0]} {each[1]}" for each in expected]
        self.assertEqual(found, expected)

    def test_every_field_is_there(self):
        for name, structure in STRUCTURES.items():
            body = re.search(rf"typedef struct {{([^{{}}]*)}} {name};", self.text).group(1)
            declared = re.findall(r"(\w+)(?:\[\d+\])?;$", re.sub(r"//.*", "", body), re.M)
            self.assertEqual(declared, [field for field, _ in structure._fields_], name)

    def test_numbers_are_the_headers(self):
        self.assertEqual(self.constants("PENSTOCK_")["ok"], 0)
        statuses = re.search(r"typedef enum {(.*?)} penstock_status;", self.text, re.S).group(1)
        numbers = {name: int(number) for name, number in re.findall(r"PENSTOCK_(\w+) = (\d+),", statuses)}
        self.assertEqual(numbers, {status.name: int(status) for status in Status})
        for prefix, words in WORDS.items():
            self.assertEqual(self.constants(prefix), words)
        self.assertIn(f"#define PENSTOCK_ABI_VERSION {_abi.ABI_VERSION}\n", self.text)

    def test_functions_take_as_much_as_the_headers(self):
        plain = re.sub(r"//.*", "", self.text)
        for name, (_, arguments) in _abi.FUNCTIONS.items():
            found = re.search(rf"\bpenstock_{name}\(([^)]*)\);", plain).group(1).strip()
            self.assertEqual(0 if found == "void" else found.count(",") + 1, len(arguments), name)


class Decisions(unittest.TestCase):
    def test_a_decision_says_what_was_meant(self):
        decision = engine._decision(Deny(401, (("WWW-Authenticate", 'Basic realm="x"'), ("X", "y")), "no", 7))
        self.assertEqual((decision.size, decision.verdict, decision.http_status, decision.user_data), (ctypes.sizeof(_abi.Decision), 0, 401, 7))
        self.assertEqual((decision.headers, decision.message), (b'WWW-Authenticate: Basic realm="x"\r\nX: y\r\n', b"no"))
        decision = engine._decision(Allow("tcp://a:1", descriptor=0, early=b"a\0b"))
        self.assertEqual((decision.verdict, decision.target, decision.has_descriptor, decision.target_descriptor), (1, b"tcp://a:1", 1, 0))
        self.assertEqual(decision.target_early_length, 3)
        for field in (("X", "y\r\nZ: z"), ("X\n", "y")):
            with self.assertRaises(ValueError):
                engine._decision(Deny(403, (field,)))
        with self.assertRaises(TypeError):
            engine._decision(None)
        with self.assertRaises(ValueError):
            engine._decision(Allow("a\0b"))

    def test_times_are_milliseconds(self):
        self.assertEqual([engine._milliseconds(time) for time in (0, 0.25, 30, float("inf"))], [0, 250, 30000, _abi.NEVER])


if __name__ == "__main__":
    unittest.main()
