// A small terminal on a WebSocket: enough for the demo console and for logging in to a plain Linux.
//
// It is: 80 by 24 characters, UTF-8, colours, cursor moves, erasing, scrolling regions, the keys of a PC, pasting.
// It is not: xterm. No scrolling back, no second screen, no mouse, no wide characters, no other character sets.
"use strict";

const COLUMNS = 80;
const ROWS = 24;
const PLAIN = { fore: null, back: null, bold: false, dim: false, italic: false, under: false, reverse: false };
const ATTRIBUTES = {
  1: { bold: true }, 2: { dim: true }, 3: { italic: true }, 4: { under: true }, 7: { reverse: true },
  22: { bold: false, dim: false }, 23: { italic: false }, 24: { under: false }, 27: { reverse: false },
};

class Terminal {
  // `screen` is a <pre>; `reply` is called with what the terminal itself has to say; `bell` when it rings.
  constructor(screen, reply, bell) {
    this.reply = reply;
    this.bell = bell;
    this.lines = [];
    for (let i = 0; i < ROWS; i++) this.lines.push(screen.appendChild(document.createElement("div")));
    this.reset();
  }

  reset() {
    this.cells = Array.from({ length: ROWS }, () => this.blank(PLAIN));
    this.style = PLAIN;
    this.row = this.column = this.top = 0;
    this.bottom = ROWS - 1;
    this.wraps = false; // the last column is written: the next character goes to the next line
    this.shows = true;
    this.saved = { row: 0, column: 0, style: PLAIN };
    this.state = "text";
    this.parameters = "";
    this.touch();
  }

  blank(style) {
    const empty = { text: " ", style: { ...PLAIN, back: style.back } };
    return new Array(COLUMNS).fill(empty);
  }

  write(text) {
    for (const character of text) this.take(character);
    this.touch();
  }

  take(character) {
    const code = character.codePointAt(0);
    if (this.state === "string") {
      // Of titles and the like, nothing is used.
      if (code === 7 || code === 0x9c) this.state = "text";
      else if (code === 27) this.state = "escape";
    } else if (code < 32) {
      this.control(code);
    } else if (this.state === "escape") {
      this.escape(character);
    } else if (this.state === "set") {
      this.state = "text";
    } else if (this.state === "sequence") {
      if (code < 0x40) this.parameters = (this.parameters + character).slice(0, 64);
      else { this.state = "text"; this.sequence(character, this.parameters); }
    } else if (code !== 127) {
      this.put(character);
    }
  }

  control(code) {
    switch (code) {
      case 7: this.bell(); break;
      case 8: this.move(this.row, this.column - 1); break;
      case 9: this.move(this.row, (this.column & ~7) + 8); break;
      case 10: case 11: case 12: this.feed(); break;
      case 13: this.move(this.row, 0); break;
      case 24: case 26: this.state = "text"; break;
      case 27: this.state = "escape"; break;
    }
  }

  escape(character) {
    this.state = "text";
    switch (character) {
      case "[": this.state = "sequence"; this.parameters = ""; break;
      case "]": case "P": case "^": case "_": case "X": this.state = "string"; break;
      case "(": case ")": case "*": case "+": case "#": case "%": this.state = "set"; break;
      case "7": this.saved = { row: this.row, column: this.column, style: this.style }; break;
      case "8": this.style = this.saved.style; this.move(this.saved.row, this.saved.column); break;
      case "D": this.feed(); break;
      case "E": this.move(this.row, 0); this.feed(); break;
      case "M": if (this.row === this.top) this.scroll(this.top, -1); else this.move(this.row - 1, this.column); break;
      case "c": this.reset(); break;
    }
  }

  sequence(final, parameters) {
    if (parameters === "?25") this.shows = final === "h";
    if (/^[<=>?]/.test(parameters)) return;
    const numbers = parameters.split(";").map((number) => parseInt(number, 10) || 0);
    const n = Math.min(numbers[0] || 1, 1000);
    const { row, column } = this;
    switch (final) {
      case "A": this.move(Math.max(row - n, row >= this.top ? this.top : 0), column); break;
      case "B": case "e": this.move(Math.min(row + n, row <= this.bottom ? this.bottom : ROWS), column); break;
      case "C": case "a": this.move(row, column + n); break;
      case "D": this.move(row, column - n); break;
      case "G": case "`": this.move(row, n - 1); break;
      case "H": case "f": this.move(n - 1, (numbers[1] || 1) - 1); break;
      case "d": this.move(n - 1, column); break;
      case "J": this.eraseScreen(numbers[0]); break;
      case "K": this.erase(row, numbers[0] === 0 ? column : 0, numbers[0] === 1 ? column + 1 : COLUMNS); break;
      case "L": if (row >= this.top && row <= this.bottom) this.scroll(row, -n); break;
      case "M": if (row >= this.top && row <= this.bottom) this.scroll(row, n); break;
      case "P": this.shift(column, n, 0); break;
      case "@": this.shift(column, 0, n); break;
      case "X": this.erase(row, column, column + n); break;
      case "m": this.dress(numbers); break;
      case "r": this.region(n - 1, (numbers[1] || ROWS) - 1); break;
      case "c": this.reply("\x1b[?6c"); break;
      case "n": if (numbers[0] === 6) this.reply(`\x1b[${row + 1};${column + 1}R`); break;
    }
  }

  put(character) {
    if (this.wraps) { this.move(this.row, 0); this.feed(); }
    this.cells[this.row][this.column] = { text: character, style: this.style };
    if (this.column === COLUMNS - 1) this.wraps = true;
    else this.column += 1;
  }

  move(row, column) {
    this.row = Math.max(0, Math.min(row, ROWS - 1));
    this.column = Math.max(0, Math.min(column, COLUMNS - 1));
    this.wraps = false;
  }

  feed() {
    if (this.row === this.bottom) this.scroll(this.top, 1);
    else this.move(this.row + 1, this.column);
    this.wraps = false;
  }

  // Moves the lines from `from` to the bottom of the region up by `n`, or down.
  scroll(from, n) {
    for (let i = Math.min(Math.abs(n), ROWS); i > 0; i--) {
      this.cells.splice(n > 0 ? from : this.bottom, 1);
      this.cells.splice(n > 0 ? this.bottom : from, 0, this.blank(this.style));
    }
  }

  // Takes `less` characters out of the line, puts `more` blanks in.
  shift(column, less, more) {
    const [line, blanks] = [this.cells[this.row], this.blank(this.style)];
    const rest = [...blanks.slice(0, Math.min(more, COLUMNS)), ...line.slice(column + less)];
    this.cells[this.row] = [...line.slice(0, column), ...rest, ...blanks].slice(0, COLUMNS);
  }

  erase(row, from, to) {
    this.cells[row].splice(from, Math.min(to, COLUMNS) - from, ...this.blank(this.style).slice(from, to));
    this.wraps = false;
  }

  eraseScreen(what) {
    if (what === 0) this.erase(this.row, this.column, COLUMNS);
    if (what === 1) this.erase(this.row, 0, this.column + 1);
    const [from, to] = what === 0 ? [this.row + 1, ROWS] : what === 1 ? [0, this.row] : [0, ROWS];
    for (let row = from; row < to; row++) this.cells[row] = this.blank(this.style);
  }

  region(top, bottom) {
    if (top < bottom && bottom < ROWS) Object.assign(this, { top, bottom, row: 0, column: 0, wraps: false });
  }

  // What SGR says of the characters to come.
  dress(numbers) {
    const style = { ...this.style };
    while (numbers.length > 0) {
      const n = numbers.shift();
      const [is, hue] = [n % 60 >= 40 ? "back" : "fore", n % 10];
      if (n === 0) Object.assign(style, PLAIN);
      else if (ATTRIBUTES[n]) Object.assign(style, ATTRIBUTES[n]);
      else if (n >= 30 && n < 50 && hue < 8) style[is] = hue;
      else if (n >= 90 && n < 108 && hue < 8) style[is] = hue + 8;
      else if (n === 38 || n === 48) style[is] = extended(numbers);
      else if (n === 39 || n === 49) style[is] = null;
    }
    this.style = style;
  }

  touch() {
    this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.draw(); });
  }

  draw() {
    this.cells.forEach((line, row) => {
      const cursor = this.shows && row === this.row ? this.column : -1;
      // Lines that are as they were keep their elements: selections live on.
      const state = line.map((cell) => cell.text + JSON.stringify(cell.style)).join("") + cursor;
      if (this.lines[row].drawn === state) return;
      this.lines[row].drawn = state;
      const spans = [];
      for (let column = 0; column < COLUMNS; ) {
        const start = column++;
        if (start !== cursor) while (column < COLUMNS && column !== cursor && line[column].style === line[start].style) column++;
        spans.push(span(line.slice(start, column), start === cursor));
      }
      this.lines[row].replaceChildren(...spans);
    });
  }
}

// A colour of 256, or of all: takes its numbers from the front of `numbers`.
function extended(numbers) {
  const kind = numbers.shift();
  if (kind === 2) return `rgb(${numbers.splice(0, 3).map((n) => n & 255)})`;
  if (kind !== 5) return null;
  const n = numbers.shift() & 255;
  if (n < 16) return n;
  if (n >= 232) return `rgb(${Array(3).fill(8 + 10 * (n - 232))})`;
  return `rgb(${[36, 6, 1].map((of) => Math.floor((n - 16) / of) % 6).map((level) => level && 55 + 40 * level)})`;
}

function span(cells, isCursor) {
  const element = document.createElement("span");
  const { fore, back, bold, dim, italic, under, reverse } = cells[0].style;
  const [front, ground] = reverse ? [back ?? 0, fore ?? 7] : [fore, back];
  element.textContent = cells.map((cell) => cell.text).join("");
  const names = [bold && "b", dim && "d", italic && "i", under && "u", isCursor && "cursor"];
  for (const [color, letter, property] of [[front, "f", "color"], [ground, "g", "backgroundColor"]]) {
    if (typeof color === "number") names.push(letter + color);
    else if (color) element.style[property] = color;
  }
  element.className = names.filter(Boolean).join(" ");
  return element;
}

const KEYS = {
  Enter: "\r", Backspace: "\x7f", Tab: "\t", Escape: "\x1b", Delete: "\x1b[3~", Insert: "\x1b[2~", PageUp: "\x1b[5~", PageDown: "\x1b[6~",
  ArrowUp: "\x1b[A", ArrowDown: "\x1b[B", ArrowRight: "\x1b[C", ArrowLeft: "\x1b[D", Home: "\x1b[H", End: "\x1b[F",
};

// What a key sends by itself; null: the browser's business, text among it.
function bytesOf(event) {
  if (event.isComposing || event.metaKey) return null;
  if (event.ctrlKey) {
    const isControl = !event.altKey && !event.shiftKey && /^[a-z[\]\\ ]$/.test(event.key);
    const isCopy = event.key === "c" && String(getSelection()) !== "";
    if (!isControl || isCopy || event.key === "v") return null;
    return String.fromCharCode(event.key.toUpperCase().charCodeAt(0) & 31);
  }
  if (event.key === "Tab" && event.shiftKey) return null;
  if (event.altKey) return event.key.length === 1 && event.location === 0 && !event.getModifierState("AltGraph") ? "\x1b" + event.key : null;
  return KEYS[event.key] ?? null;
}

function start() {
  const [box, status, again, keys] = ["terminal", "status", "reconnect", "keys"].map((id) => document.getElementById(id));
  let socket = null;
  const send = (text) => { if (socket?.readyState === WebSocket.OPEN) socket.send(new TextEncoder().encode(text)); };
  const ring = () => { box.classList.add("bell"); setTimeout(() => box.classList.remove("bell"), 150); };
  const terminal = new Terminal(document.getElementById("screen"), send, ring);
  const tell = (text, state) => {
    status.textContent = text;
    status.className = state;
    again.disabled = state !== "closed";
  };

  const connect = () => {
    const decoder = new TextDecoder();
    socket = new WebSocket((location.protocol === "https:" ? "wss://" : "ws://") + location.host + "/console", "binary");
    socket.binaryType = "arraybuffer";
    tell("Connecting…", "");
    socket.onopen = () => { terminal.reset(); tell("Connected", "open"); keys.focus(); };
    socket.onmessage = (event) => terminal.write(decoder.decode(event.data, { stream: true }));
    socket.onclose = (event) => {
      const lost = event.code === 1006 ? " without a goodbye: refused, or the network is gone" : "";
      tell(`Closed${lost} (code ${event.code}${event.reason ? ": " + event.reason : ""})`, "closed");
    };
  };

  keys.addEventListener("keydown", (event) => {
    const bytes = bytesOf(event);
    if (bytes !== null) { event.preventDefault(); send(bytes); }
  });
  // Everything that is text comes here: keys, pasted text, on-screen keyboards, composed characters.
  const typed = (event) => {
    if (event.isComposing) return;
    send(keys.value.replace(/\r?\n/g, "\r"));
    keys.value = "";
  };
  keys.addEventListener("input", typed);
  keys.addEventListener("compositionend", typed);
  box.addEventListener("mouseup", () => { if (String(getSelection()) === "") keys.focus({ preventScroll: true }); });
  again.addEventListener("click", connect);
  connect();
}

start();
