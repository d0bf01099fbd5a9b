"""What no history can notice if it is switched off, and where it is noticed."""

ELSEWHERE = {
    "CL-6": "bytes: tests/unit and tests/contract",
    "ST-7": "handlers are not in machines: tests/rules/test_steps.py",
    "ST-8": "histories end, and nothing there waits for ever: tests/rules/test_steps.py",
    "ST-9": "machines have no disk that is full: tests/rules/test_durability.py, tests/integration/test_full_disk.py",
    "CP-10": "what hosts wait for: worlds, tests/rules/test_durability.py, tests/endtoend/test_demo.py",
    "CP-11": "files: tests/rules/test_durability.py, tests/unit/peer/store/",
    "CP-12": "files: tests/rules/test_durability.py, tests/unit/peer/audit/",
    "ST-10": "histories hand in each input once: tests/rules/test_steps.py, tests/integration/test_submits.py",
    **dict.fromkeys(("EF-2", "EF-8"), "it ends the same, or nobody does so: test_effects.py, test_compensation.py"),
    "EF-7": "scripts call one tool at a time: tests/rules/test_effects_together.py",
    "EF-6": "an order that no state at the end shows: tests/rules/test_effects.py",
    "RQ-1": "what it is in the swarm the checks of effects and timers see: tests/rules/test_requests.py",
    "RQ-4": "scripts make no groups: tests/rules/test_groups*, tests/simulation/test_world_groups.py",
    **dict.fromkeys(("ST-14", "ST-15"), "nobody pauses histories: tests/rules/test_pausing.py, test_tiers.py"),
    "NA-1": "a message like any other, and hosts bring agents up: tests/simulation/test_world_new_agents.py",
    **dict.fromkeys(("SH-1", "SH-5"), "documents, tools: tests/integration, test_world_outside.py switches SH-5 off"),
    "RB-12": "opinions of histories look at nothing: tests/rules/test_consent.py switches it off",
    "CP-9": "a policy, any choice of which is sound: tests/rules/test_checkpoints.py",
    "MB": "lives of hosts: tests/simulation/test_hosts.py switches four of them off, tests/rules/ has the others",
}
