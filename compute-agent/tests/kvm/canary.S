/*
 * A guest that proves that it runs: a ROM of 64 KiB in the BIOS's place, without an operating system, in real mode.
 *
 * On COM1 it says "CANARY up uuid=<its UUID>", then once a second "TICK <counter, 8 hex digits>". The counter lies in its memory,
 * so it goes on where it was after a pause, after being saved and restored, and starts again at 0 after a boot. When the ACPI power
 * button is pressed it says "PWRBTN" and turns itself off. Machine type: pc.
 *
 *     as --32 -o canary.o canary.S
 *     ld -m elf_i386 -Ttext 0 --oformat binary -e _start -o canary.bin canary.o
 */
	.code16

	/* Memory, below the stack. */
	.set counter, 0x500             /* 32 bits: seconds */
	.set beats, 0x504               /* 8 bits: interrupts of the timer, 20 a second */
	.set uuid, 0x510                /* 16 bytes */
	.set stack, 0x7000

	/* Ports. */
	.set com1, 0x3f8
	.set com1_status, 0x3fd
	.set fw_cfg, 0x510
	.set fw_cfg_uuid, 2
	.set pci_address, 0xcf8
	.set pci_data, 0xcfc
	.set pm_base, 0xb000
	.set pm_control, pm_base + 4
	.set power_button, 0x100
	.set soft_off, 0x2000

	.macro outb_to port, value
	movw	$\port, %dx
	movb	$\value, %al
	outb	%al, %dx
	.endm

	.macro pci_write function, register, value
	movl	$(0x80000000 | (\function << 8) | \register), %eax
	movw	$pci_address, %dx
	outl	%eax, %dx
	movl	$\value, %eax
	movw	$pci_data, %dx
	outl	%eax, %dx
	.endm

	.globl	_start
_start:	cli
	cld
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$stack, %sp
	movl	$0, counter
	movb	$0, beats

	/* 115200 baud do not matter here; 8 bits, no interrupts. */
	outb_to com1 + 1, 0
	outb_to com1 + 3, 3
	outb_to com1 + 2, 1

	call	open_local_apic
	call	set_up_timer

	/* The power management of the PIIX4 (device 1, function 3): its ports, and that they are on. */
	pci_write 0x0b, 0x40, pm_base + 1
	pci_write 0x0b, 0x80, 1
	pci_write 0x0b, 0x04, 1
	movw	$pm_base + 2, %dx
	movw	$power_button, %ax
	outw	%ax, %dx

	call	read_uuid
	movw	$text_up, %si
	call	say
	call	say_uuid
	movb	$'\n', %al
	call	say_character
	sti

wait:	hlt
	movw	$pm_base, %dx
	inw	%dx, %ax
	testw	$power_button, %ax
	jnz	turn_off
	cmpb	$20, beats
	jb	wait
	subb	$20, beats
	incl	counter
	movw	$text_tick, %si
	call	say
	movl	counter, %eax
	call	say_number
	movb	$'\n', %al
	call	say_character
	jmp	wait

turn_off:
	movw	$text_button, %si
	call	say
	movw	$pm_control, %dx
	movw	$soft_off, %ax
	outw	%ax, %dx
1:	cli
	hlt
	jmp	1b

/* As firmware does: the local APIC is turned on, and lets the interrupts of the old controller through. It lies above what real
   mode reaches, so a segment is stretched over all memory for a moment. */
open_local_apic:
	lgdtl	%cs:gdt_register
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	movw	$8, %bx
	movw	%bx, %ds
	andb	$0xfe, %al
	movl	%eax, %cr0
	movl	$0xfee000f0, %ebx
	movl	$0x1ff, (%ebx)
	movl	$0xfee00350, %ebx
	movl	$0x8700, (%ebx)
	xorw	%ax, %ax
	movw	%ax, %ds
	ret

/* The timer, 20 times a second, as interrupt 0x20; all others are masked. */
set_up_timer:
	outb_to 0x20, 0x11
	outb_to 0xa0, 0x11
	outb_to 0x21, 0x20
	outb_to 0xa1, 0x28
	outb_to 0x21, 4
	outb_to 0xa1, 2
	outb_to 0x21, 1
	outb_to 0xa1, 1
	outb_to 0x21, 0xfe
	outb_to 0xa1, 0xff
	movw	$on_timer, 0x20 * 4
	movw	$0xf000, 0x20 * 4 + 2
	outb_to 0x43, 0x34
	outb_to 0x40, 59659 & 0xff
	outb_to 0x40, 59659 >> 8
	ret

on_timer:
	pushw	%ax
	pushw	%ds
	xorw	%ax, %ax
	movw	%ax, %ds
	incb	beats
	movb	$0x20, %al
	outb	%al, $0x20
	popw	%ds
	popw	%ax
	iretw

read_uuid:
	movw	$fw_cfg, %dx
	movw	$fw_cfg_uuid, %ax
	outw	%ax, %dx
	incw	%dx
	movw	$uuid, %di
	movw	$16, %cx
1:	inb	%dx, %al
	stosb
	loop	1b
	ret

say_uuid:
	movw	$uuid, %si
	movw	$16, %cx
1:	lodsb
	shll	$24, %eax
	pushw	%cx
	movw	$2, %cx
	call	say_digits
	popw	%cx
	loop	1b
	ret

/* %eax in 8 digits. */
say_number:
	movw	$8, %cx
/* The upper %cx digits of %eax. */
say_digits:
	roll	$4, %eax
	pushl	%eax
	andw	$15, %ax
	movw	%ax, %bx
	movb	%cs:digits(%bx), %al
	call	say_character
	popl	%eax
	loop	say_digits
	ret

/* The text at %si, which ends with a zero, from the ROM. */
say:	movb	%cs:(%si), %al
	incw	%si
	testb	%al, %al
	jz	1f
	call	say_character
	jmp	say
1:	ret

say_character:
	pushw	%dx
	pushw	%ax
	movw	$com1_status, %dx
1:	inb	%dx, %al
	testb	$0x20, %al
	jz	1b
	popw	%ax
	movw	$com1, %dx
	outb	%al, %dx
	popw	%dx
	ret

	.balign	8
gdt:	.quad	0
	.quad	0x00cf93000000ffff
gdt_register:
	.word	15
	.long	0xf0000 + gdt
digits:	.ascii	"0123456789abcdef"
text_up:
	.asciz	"\nCANARY up uuid="
text_tick:
	.asciz	"TICK "
text_button:
	.asciz	"PWRBTN\n"

	/* Where the processor begins. */
	.org	0xfff0
	.byte	0xea
	.word	_start
	.word	0xf000
	.org	0xffff
	.byte	0
