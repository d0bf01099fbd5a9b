"""Each measure on a run whose answer is known by hand."""

from pathlib import Path

import pytest
from hand_made import Logs, step

from peer.errors import CallerError
from peer.evaluation import Linear, Measures, evaluated, read_truth
from peer.evaluation.measures import NEED_TRUTH
from peer.evaluation.utility import worth


def test_an_agent_is_frozen_from_the_proposal_to_its_own_decision_and_overlaps_count_once() -> None:
    logs = Logs()
    logs.ran("a/1/1", 0.001)
    logs.ran("b/1/1", 10.001)
    logs.rolled_back("a/1/p1", 2, "a/1/1", "a/1/1", {"a": 4, "b": 5})
    logs.rolled_back("a/1/p2", 3, "a/1/1", "a/1/1", {"a": 5}, "abort")
    found = evaluated(logs.trail())
    # a: from 2 to 5 of 10 seconds; b has voted without a part in it.
    assert found.run_s == pytest.approx(10)
    assert (found.uptime, found.uptime_worst) == (pytest.approx(0.85), pytest.approx(0.7))
    assert found.down_s == pytest.approx(3)


def test_an_undecided_rollback_freezes_to_the_end() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1)
    logs.rolled_back("a/1/p1", 6, "a/1/1", "a/1/1", {"a": 0})
    logs.ran("b/1/1", 11)
    found = evaluated(logs.trail())
    assert (found.undecided, found.decide_s) == (1, None)
    assert found.uptime_worst == pytest.approx(0.5)


def test_a_pause_counts_to_its_end_and_without_one_to_the_end_of_the_run() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1)
    logs.paused("a", True, 2)
    logs.paused("a", False, 3)
    logs.paused("a", True, 10)
    logs.ran("b/1/1", 11)
    assert evaluated(logs.trail()).down_s == pytest.approx(2)


def test_gaps_between_lives_are_a_lower_bound_of_uptime_only() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1)
    logs.ran("a/1/2", 3)
    logs.ran("a/2/3", 7)
    logs.ran("a/2/4", 11)
    found = evaluated(logs.trail())
    assert (found.uptime, found.uptime_least) == (1.0, pytest.approx(0.6))


def test_times_to_detect_decide_and_recover_are_those_of_the_log() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1, "L1")
    logs.ran("a/1/2", 2, "L2")
    logs.ran("guard/1/1", 4, writes='["case","a/1/2"]')
    logs.rolled_back("guard/1/p1", 5, "a/1/1 a/1/2", "a/1/1 a/1/2", {"a": 7, "guard": 6.5})
    logs.ran("a/1/3", 8, "L1", attempt=2)
    logs.ran("a/1/4", 9.5, "L2", attempt=2)
    logs.ran("a/1/5", 20, "L3")
    found = evaluated(logs.trail(), [step("a/1/1"), step("a/1/2")])
    # The first wrong step ran at 1 s; a word that names any wrong one came at 4 s.
    assert found.detect_s == pytest.approx(3)
    assert (found.decide_s, found.decide_max_s) == (pytest.approx(2), pytest.approx(2))
    assert found.recover_s == pytest.approx(2.5)


def test_a_key_that_only_looks_like_a_case_names_nothing() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1)
    logs.ran("a/1/2", 2, writes='["case","of tea"]')
    logs.ran("a/1/3", 3, writes='["case","a/1/1","more"]')
    assert evaluated(logs.trail(), [step("a/1/1")]).missed == 1


def test_work_kept_is_what_stands_beside_what_the_last_checkpoint_before_the_root_holds() -> None:
    logs = Logs()
    for seq in range(1, 11):
        if seq in (3, 5, 9):
            logs.cut("a", {3: 1, 5: 2, 9: 3}[seq], seq - 0.5)
        logs.ran(f"a/1/{seq}", seq)
    logs.rolled_back("a/1/p1", 11, "a/1/7", "a/1/7 a/1/8", {"a": 12})
    found = evaluated(logs.trail(committed=3))
    # Ten steps stood; the rollback has left 8; checkpoint 3 holds the root, and checkpoint 2 has four steps inside.
    assert found.work_kept == pytest.approx(0.8)
    assert found.rollbacks_kept == pytest.approx(0.8)
    assert found.restores_would_keep == pytest.approx(0.4)
    assert found.over_restore == pytest.approx(2.0)


def test_without_a_checkpoint_before_the_root_nothing_would_have_been_kept() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1)
    logs.cut("a", 1, 2)
    logs.ran("a/1/2", 3)
    logs.rolled_back("a/1/p1", 4, "a/1/1", "a/1/1 a/1/2", {"a": 5})
    found = evaluated(logs.trail(committed=1))
    assert (found.restores_would_keep, found.over_restore) == (0.0, None)


def test_an_input_is_unhandled_if_nothing_has_run_it_again_and_its_sender_still_means_it() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1, "L1")
    logs.ran("a/1/2", 2, "L2")
    logs.ran("b/1/1", 3, "M1", producer="a/1/1")
    logs.rolled_back("a/1/p1", 4, "a/1/1 a/1/2", "a/1/1 a/1/2 b/1/1", {"a": 5, "b": 5})
    logs.ran("a/1/3", 6, "L2", attempt=2)
    # L1 is; L2 has run again; M1 was sent by a step that is undone.
    assert evaluated(logs.trail()).unhandled == 1


def test_a_step_that_was_undone_before_did_not_stand_when_a_later_rollback_was_decided() -> None:
    logs = Logs()
    for seq in range(1, 5):
        logs.ran(f"a/1/{seq}", seq)
    logs.rolled_back("a/1/p1", 5, "a/1/3 a/1/4", "a/1/3 a/1/4", {"a": 6})
    logs.rolled_back("a/1/p2", 7, "a/1/2", "a/1/2", {"a": 8})
    # Of four the first has left two, and of these two the second has left one.
    assert evaluated(logs.trail()).rollbacks_kept == pytest.approx((2 + 1) / (4 + 2))


def test_what_a_sender_has_sent_anew_is_meant_and_unhandled_if_that_is_undone_for_good() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1, "L1")
    logs.ran("b/1/1", 2, "M1", producer="a/1/1")
    logs.rolled_back("a/1/p1", 3, "a/1/1", "a/1/1 b/1/1", {"a": 4, "b": 4})
    logs.ran("a/1/2", 5, "L1", attempt=2)
    logs.ran("b/1/2", 6, "M1", producer="a/1/2")
    logs.rolled_back("b/1/p1", 7, "b/1/2", "b/1/2", {"b": 8})
    assert evaluated(logs.trail()).unhandled == 1


def test_a_rollback_that_was_refused_has_nothing_to_recover_from() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1)
    logs.rolled_back("a/1/p1", 2, "a/1/1", "a/1/1", {"a": 3}, "abort")
    found = evaluated(logs.trail())
    assert (found.recover_s, found.decide_s) == (None, pytest.approx(1))


def test_it_is_recovered_when_the_last_effect_is_undone_as_far_as_the_log_is_dated() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1, calls=("slow",))
    logs.called("a", "slow", "done")
    logs.rolled_back("a/1/p1", 2, "a/1/1", "a/1/1", {"a": 3})
    logs.ran("a/1/2", 9)
    logs.records["a"].append(type(logs.records["a"][2])("slow", "undone"))
    assert evaluated(logs.trail()).recover_s == pytest.approx(6)


def test_a_call_that_was_ended_without_having_been_made_was_not_undone() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1, calls=("never",))
    logs.called("a", "never", "undone")
    assert evaluated(logs.trail()).effects_undone == 0


def test_a_question_is_waited_for_until_it_is_undone() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1, asks=True)
    logs.rolled_back("a/1/p1", 2, "a/1/1", "a/1/1", {"a": 3})
    logs.ran("a/1/2", 9)
    assert evaluated(logs.trail()).waiting_s == pytest.approx(2)


def test_innocent_is_what_was_undone_and_hangs_on_no_wrong_step() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1, writes="k")
    logs.ran("a/1/2", 2)
    logs.ran("b/1/1", 3, producer="a/1/1")
    logs.ran("c/1/1", 4, reads="k=a/1/1")
    logs.ran("d/1/1", 5)
    logs.rolled_back("x/1/p1", 6, "a/1/1", "a/1/1 b/1/1 c/1/1", dict.fromkeys("abc", 7.0))
    logs.rolled_back("x/1/p2", 6, "a/1/2 d/1/1", "a/1/2 d/1/1", dict.fromkeys("ad", 8.0))
    found = evaluated(logs.trail(), [step("a/1/1")])
    assert (found.innocent, found.standing, found.missed) == (2, 0, 0)


def test_missed_is_what_stands_unnamed_and_standing_what_was_named_and_refused_too() -> None:
    logs = Logs()
    for seq in (1, 2, 3):
        logs.ran(f"a/1/{seq}", seq)
    logs.rolled_back("a/1/p1", 4, "a/1/1", "a/1/1", {"a": 5})
    logs.rolled_back("a/1/p2", 4, "a/1/2", "a/1/2", {"a": 6}, "abort")
    found = evaluated(logs.trail(), [step(f"a/1/{seq}") for seq in (1, 2, 3)])
    assert (found.wrong, found.standing, found.missed) == (3, 2, 1)
    assert (found.rollbacks, found.refused) == (1, 1)


def test_damage_is_what_the_wrong_have_done_and_nobody_right_stands_behind() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1, "L1", calls=("undone", "claimed", "stays"))
    logs.called("a", "undone", "done", "undoing", "undone")
    logs.called("a", "claimed", "done")
    logs.called("a", "stays", "done")
    logs.ran("a/1/2", 2, requests="R2")
    logs.called("a", "final", "done", kind="irreversible", lineage="R2")
    logs.ran("a/1/3", 3, calls=("of the right",))
    logs.called("a", "of the right", "done")
    logs.rolled_back("a/1/p1", 4, "a/1/1", "a/1/1", {"a": 5})
    logs.ran("a/1/4", 6, "L1", calls=("claimed",), attempt=2)
    found = evaluated(logs.trail(), [step("a/1/1"), step("a/1/2")])
    assert (found.damage, found.damage_final, found.let_go) == (2, 1, 1)
    assert found.effects_undone == 1


def test_what_the_runtime_itself_calls_is_no_damage() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1, calls=("hold",))
    logs.called("a", "hold", "done")
    logs.records["a"][1] = type(logs.records["a"][1])("hold", "", "ebbtide.hold", b"", None, 1, "compensable")
    assert evaluated(logs.trail(), [step("a/1/1")]).damage == 0


def test_people_are_asked_by_questions_and_by_restores() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1, asks=True)
    logs.ran("a/1/2", 4, producer="a/1/1", index=0)
    logs.ran("a/1/3", 6, asks=True)
    logs.ran("b/1/1", 7)
    logs.restored("b", "b/1/1", 8)
    logs.ran("b/1/2", 11)
    found = evaluated(logs.trail(), minutes=2)
    # Answered after 3 s; not answered for 5 s, to the end.
    assert (found.questions, found.unanswered, found.waiting_s) == (2, 1, pytest.approx(8))
    assert (found.restores, found.human_minutes) == (1, 6)


def test_without_truth_what_hangs_on_it_is_unknown_and_so_is_the_utility() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1)
    logs.ran("a/1/2", 2)
    found = evaluated(logs.trail())
    assert {name: getattr(found, name) for name in NEED_TRUTH} == dict.fromkeys(NEED_TRUTH)
    assert worth(Linear(), found) is None
    known = evaluated(logs.trail(), [])
    assert (known.wrong, known.missed, known.damage, known.detect_s) == (0, 0, 0, None)
    assert worth(Linear(), known) == 0.0


def test_a_run_of_nothing_has_no_shares() -> None:
    found = evaluated(Logs().trail(), [])
    assert (found.steps, found.uptime, found.work_kept, found.decide_s) == (0, None, None, None)


def test_the_default_utility_adds_up_what_was_lost() -> None:
    logs = Logs()
    logs.ran("a/1/1", 1, "L1", requests="R1")
    logs.called("a", "final", "done", kind="irreversible", lineage="R1")
    logs.ran("a/1/2", 2, "L2")
    logs.rolled_back("a/1/p1", 3, "a/1/2", "a/1/2", {"a": 5})
    logs.ran("a/1/3", 6, "L2", asks=True, attempt=2)
    found = evaluated(logs.trail(), [step("a/1/1")])
    # A wrong step that stands, an effect for good, an innocent step, five minutes, two seconds.
    assert worth(Linear(), found) == pytest.approx(-(100 + 100 + 1 + 50 + 0.2))
    assert worth(Linear(human_minutes=0.0, down_s=0.0), found) == pytest.approx(-201)


def test_a_utility_is_any_function_of_the_measures_and_what_it_does_wrong_is_said() -> None:
    found = evaluated(Logs().trail(), [])

    def bad(measures: Measures) -> float:
        return 1 / measures.steps

    assert worth(lambda measures: 7 - measures.restores, found) == 7.0
    assert worth(lambda measures: None, found) is None
    with pytest.raises(CallerError, match=r"bad has failed: ZeroDivisionError.*unknown are None"):
        worth(bad, found)
    with pytest.raises(CallerError, match="has returned 'much'"):
        worth(lambda measures: "much", found)  # type: ignore[arg-type,return-value]


def test_truth_is_a_step_a_line_and_what_is_no_step_is_named_with_its_line(tmp_path: Path) -> None:
    logs = Logs()
    logs.ran("a/1/1", 1)
    trail, file = logs.trail(), tmp_path / "wrong.txt"
    file.write_text("# by hand\n\n a/1/1  # dollars\n", encoding="utf-8")
    assert read_truth(file, trail) == {step("a/1/1")}
    file.write_text("a/1/1\na/1/9\n", encoding="utf-8")
    with pytest.raises(CallerError, match=r"wrong.txt, line 2: no step a/1/9"):
        read_truth(file, trail)
    with pytest.raises(CallerError, match="Give a file of step names"):
        read_truth(tmp_path / "none.txt", trail)


def test_what_is_said_to_be_wrong_and_is_no_step_of_the_run_is_refused() -> None:
    with pytest.raises(CallerError, match="a/1/1 is said to be wrong"):
        evaluated(Logs().trail(), [step("a/1/1")])
    with pytest.raises(CallerError, match="minutes=-1"):
        evaluated(Logs().trail(), minutes=-1)
