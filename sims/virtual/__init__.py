"""The ports in virtual time: loop, clock, disk, network, chance, tools."""
