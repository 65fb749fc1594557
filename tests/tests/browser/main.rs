//! Consoles as people have them: Chromium with the pages of noVNC and of spice-html5 shows a guest of QEMU, and what is typed there is
//! typed into the guest; and the demo console, which needs nothing.
//!
//! What a page shows is read from pictures of the screen, letter by letter. Every page is looked at through both drivers, with TLS
//! and without, led by a token and to a fixed target.

mod demo;
mod novnc;
mod spice;
mod stage;
