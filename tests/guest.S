# A boot sector that says one line on its screen and on its first serial port, and then gives back every byte that comes
# by that port. The cursor is hidden, so that the screen holds the text and nothing else.
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
  mov %al, bytes
  mov $0x0e, %ah              # on the screen
  mov $7, %bx
  int $0x10
  mov $1, %cx
  call put
  jmp next
listen:
  movw $wake, 4 * 12          # the serial port's interrupt, which only wakes the processor up
  movw $0, 4 * 12 + 2
  in $0x21, %al
  and $0xef, %al
  out %al, $0x21
again:
  cli
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

put:                          # CX of bytes, 16 at most
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
