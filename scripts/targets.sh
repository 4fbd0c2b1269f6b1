# The targets that scripts/test-targets.sh knows; sourced by the scripts that need their names.
#
# target NAME: sets debian (the architecture's name in Debian), rust and gnu (its triples), and qemu (what runs its
# programs; empty for those that this processor runs itself).
#
# qemu keeps tables for address space that is only reserved, of which an open database has much: -R gives a 64-bit
# program 16 GiB of it.
target() {
    room="-R 0x400000000"
    case $1 in
    i386) debian=i386 rust=i686-unknown-linux-gnu gnu=i686-linux-gnu qemu= ;;
    s390x) debian=s390x rust=s390x-unknown-linux-gnu gnu=s390x-linux-gnu qemu="qemu-s390x $room" ;;
    arm64) debian=arm64 rust=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu qemu="qemu-aarch64 $room" ;;
    armhf) debian=armhf rust=armv7-unknown-linux-gnueabihf gnu=arm-linux-gnueabihf qemu=qemu-arm ;;
    ppc64el) debian=ppc64el rust=powerpc64le-unknown-linux-gnu gnu=powerpc64le-linux-gnu qemu="qemu-ppc64le $room" ;;
    riscv64) debian=riscv64 rust=riscv64gc-unknown-linux-gnu gnu=riscv64-linux-gnu qemu="qemu-riscv64 $room" ;;
    *) return 1 ;;
    esac
}
