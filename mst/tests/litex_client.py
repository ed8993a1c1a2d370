"""Talks to an mst_soc with LiteX's own client: litex_client.py PORT BAUD CSR_CSV"""

import sys

from litex.tools.remote.comm_uart import CommUART


def main(port, baud, csr_csv):
    board = CommUART(port, int(baud), csr_csv=csr_csv)
    board.open()
    board.port.timeout = 60

    def ascii_of(register):
        return register.read().to_bytes(4, "big").decode()

    names = ascii_of(board.regs.soc_identity), ascii_of(board.regs.core_identity)
    for value in (0xDEADBEEF, 0x00000001):
        board.regs.core_scratch.write(value)
        assert board.regs.core_scratch.read() == value

    memory = board.mems.main_ram
    words = [(index * 0x9E3779B9) & 0xFFFFFFFF for index in range(20)]
    last = memory.base + memory.size - 4 * len(words)
    board.write(last, words)
    assert board.read(last, length=len(words)) == words
    board.write(last, [5, 6, 7], burst="fixed")
    assert board.read(last, length=2) == [7, words[1]]
    assert board.regs.soc_bus_errors.read() == 0
    board.read(memory.base + memory.size)
    assert board.regs.soc_bus_errors.read() == 1
    print(f"{names[0]}, {names[1]}, {board.regs.soc_memory_bytes.read()} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
