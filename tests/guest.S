# A boot sector that says one line on its screen and on its first serial port, then sleeps.
# The cursor is hidden, so that the screen holds the text and nothing else.
.code16
.globl _start
_start:
  ljmp $0, $start
start:
  xor %ax, %ax
  mov %ax, %ds
  mov %ax, %ss
  mov $0x7c00, %sp
  cld
  mov $0x0003, %ax          # text, 80 x 25
  int $0x10
  mov $0x0100, %ax          # cursor off
  mov $0x2000, %cx
  int $0x10
  mov $text, %si
next:
  lodsb
  test %al, %al
  jz sleep
  mov $0x0e, %ah            # on the screen
  mov $7, %bx
  int $0x10
  mov $0x01, %ah            # on the serial port
  xor %dx, %dx
  int $0x14
  jmp next
sleep:
  hlt
  jmp sleep
text: .asciz "PENSTOCK GUEST READY\r\n"
.org 510
.word 0xaa55
