# A boot sector that says one line on its screen and on its first serial port, and then gives back every byte that comes
# by that port. What is typed on its keyboard it says on both; F1 fills the screen with noise, and the next key brings the
# line back. The cursor is hidden, so that the screen holds the text and nothing else.
.code16
.globl _start
.set port, 0x3f8
.set bytes, 0x500             # where nobody's memory is
_start:
  ljmp $0, $start
start:
  xor %ax, %ax
  mov %ax, %ds
  mov %ax, %es
  mov %ax, %ss
  mov $0x7c00, %sp
  cld
  mov $0x0003, %ax            # text, 80 x 25
  int $0x10
  mov $0x0100, %ax            # cursor off
  mov $0x2000, %cx
  int $0x10
  mov $settings, %si          # the serial port
  mov $7, %cx
set:
  lodsw                       # value, register
  mov %ah, %dl
  mov $0x03, %dh
  out %al, %dx
  loop set
  mov $text, %si
next:
  lodsb
  test %al, %al
  jz listen
  call say
  jmp next
listen:
  movw $wake, 4 * 12          # the serial port's interrupt, which only wakes the processor up
  movw $0, 4 * 12 + 2
  in $0x21, %al
  and $0xef, %al
  out %al, $0x21
again:
  cli
  mov 0x41a, %ax              # where the BIOS takes keys from, and where it puts them
  cmp 0x41c, %ax
  jne typed
  mov $port + 2, %dx          # why there is an interrupt, if there is one
  in %dx, %al
  test $1, %al
  jz some
  sti
  hlt
  jmp again
some:
  mov $1, %cx
  and $0x0f, %al
  cmp $4, %al                 # 14 bytes are there; else fewer
  jne take
  mov $14, %cx
take:
  push %cx
  mov $bytes, %di
  mov $port, %dx
  rep insb
  pop %cx
  call put
  jmp again

typed:
  call key
  cmp $0x3b00, %ax            # F1
  je noise
  test %al, %al
  jz again
  call say
  cmp $'\r', %al
  jne again
  mov $'\n', %al
  call say
  jmp again

noise:                        # 640 x 480 pixels of three bytes, through a window of 64 KiB
  mov $0x4f02, %ax
  mov $0x0112, %bx
  int $0x10
  mov $1, %esi
  xor %dx, %dx
window:
  mov $0x4f05, %ax
  xor %bx, %bx
  int $0x10
  push $0xa000
  pop %es
  xor %di, %di
  mov $0x8000, %cx
grain:
  imul $1664525, %esi, %esi
  add $1013904223, %esi
  mov %esi, %eax
  shr $16, %eax
  stosw
  loop grain
  inc %dx
  cmp $15, %dx
  jne window
  call key
  jmp start

key:                          # into AX
  xor %ah, %ah
  int $0x16
  ret

say:                          # AL, on the screen and by the port
  mov %al, bytes
  mov $0x0e, %ah
  mov $7, %bx
  int $0x10
  mov $1, %cx
put:                          # CX of bytes, 16 at most
  push %ax
  push %si
  mov $bytes, %si
  mov $port + 5, %dx
full:
  in %dx, %al
  test $0x20, %al
  jz full
  mov $port, %dx
  rep outsb
  pop %si
  pop %ax
  ret

wake:
  push %ax
  mov $0x20, %al
  out %al, $0x20
  pop %ax
  iret

settings:                     # value, register: 115,200 baud, 8 bits, a queue that tells when it holds 14, interrupts
  .byte 0x80, 0xfb, 0x01, 0xf8, 0x00, 0xf9, 0x03, 0xfb, 0xc7, 0xfa, 0x0b, 0xfc, 0x01, 0xf9
text: .asciz "PENSTOCK GUEST READY\r\n"
.org 510
.word 0xaa55
