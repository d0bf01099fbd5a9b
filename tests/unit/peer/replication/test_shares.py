from itertools import combinations

import pytest

from peer.replication.shares import SHARE_BYTES, check_of, secret_of, share_of

SECRET = bytes(range(32))
TRUSTEES = [f"{number:016x}" for number in range(5)]


@pytest.mark.parametrize("threshold", [1, 2, 3, 5])
def test_so_many_shares_make_the_secret_and_fewer_do_not(threshold: int) -> None:
    shares = {trustee: share_of(SECRET, threshold, trustee) for trustee in TRUSTEES}
    assert {len(share) for share in shares.values()} == {SHARE_BYTES}
    for count in range(1, len(TRUSTEES) + 1):
        for some in combinations(shares.items(), count):
            found = secret_of(dict(some), check_of(SECRET))
            assert found == (SECRET if count >= threshold else None)


def test_a_share_that_was_made_up_makes_nothing() -> None:
    shares = {trustee: share_of(SECRET, 2, trustee) for trustee in TRUSTEES[:2]}
    for false in (bytes(SHARE_BYTES), b"\xff" * SHARE_BYTES, share_of(SECRET, 2, TRUSTEES[2])):
        assert secret_of({**shares, TRUSTEES[0]: false}, check_of(SECRET)) is None


def test_a_share_is_the_same_every_time_and_another_for_each_trustee_and_threshold() -> None:
    every = [share_of(SECRET, threshold, trustee) for threshold in (2, 3) for trustee in TRUSTEES]
    assert len({*every}) == len(every)
    assert every == [share_of(SECRET, threshold, trustee) for threshold in (2, 3) for trustee in TRUSTEES]
