"""The stack on one machine, without containers.

Read in this order: layout (names, ports, folders), programs (what a program is), servers
and services (the programs), lifecycle (up, down and what is between).
"""
