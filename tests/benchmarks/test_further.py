"""Further processes: asked for where an interval is wide, the widest first, and within a budget."""

import math

from benchmarks.further import MOST_OF_ALL, MOST_TIMES_PLANNED, further_trials
from tests import samples, trials

NEVER_CALM = (1.0, 1.5, 2.2, 1.2, 1.9, 1.35, 2.0, 1.7, 1.1)
CALM, WILD, WILDER = (1.0, 1.01, 0.99), (1.0, 1.2, 0.9), (1.0, 1.6, 0.8)
SIZES = {"core.patches": "64,121,144,196,225,256,324,400", "model.patches": "16"}


def planned(**settings):
    return trials.planned("scaling", variants=("eanet", "vit"), settings=SIZES | settings)


PLANNED = planned()


def first(trial):
    """The case: its first process."""
    return trial.model_copy(update={"process": 0})


def record(trial, seconds, **changes):
    return samples.step_time(seconds=seconds).model_copy(update={"trial_id": trial.trial_id, **changes})


def measured(of, times, **changes):
    """A record of each trial; `times` holds its process's seconds by the case's size, else it is calm."""
    return [record(trial, times.get(trial.patches, CALM)[trial.process % 3], **changes) for trial in of]


def asked_to_the_end(records, seconds):
    """All that is asked for, round by round, where each trial takes `seconds(trial)`."""
    asked = []
    while more := further_trials(PLANNED, records):
        asked += more
        records = [*records, *(record(trial, seconds(trial)) for trial in more)]
    return asked


def test_a_narrow_case_is_measured_no_further():
    assert further_trials(PLANNED, measured(PLANNED, {})) == []


def test_a_wide_case_is_measured_in_the_next_process_and_the_widest_comes_first():
    asked = further_trials(PLANNED, measured(PLANNED, {64: WILD, 256: WILDER}))
    assert {(trial.patches, trial.process) for trial in asked} == {(64, 3), (256, 3)}
    assert [trial.patches for trial in asked] == sorted((t.patches for t in asked), reverse=True)
    assert len(asked) == 8, "two variants and two phases of either size"
    assert {first(trial).trial_id for trial in asked} < {trial.trial_id for trial in PLANNED}
    assert not {trial.trial_id for trial in asked} & {trial.trial_id for trial in PLANNED}


def test_one_case_that_stays_wide_ends_with_three_times_its_processes():
    (case,) = [t for t in PLANNED if (t.scope, t.phase, t.variant, t.process) == ("model", "train", "vit", 0)]
    records = [record(t, (NEVER_CALM if first(t) == case else CALM)[t.process]) for t in PLANNED]
    asked = asked_to_the_end(records, lambda trial: NEVER_CALM[trial.process])
    assert [trial.process for trial in asked] == list(range(3, 3 * MOST_TIMES_PLANNED))


def test_all_that_stay_wide_share_the_suites_budget():
    wide = dict.fromkeys((16, 64, 256), WILDER)
    asked = asked_to_the_end(measured(PLANNED, wide), lambda trial: WILDER[trial.process % 3])
    assert len(asked) == math.ceil(MOST_OF_ALL * len(PLANNED))


def test_a_process_that_fails_takes_no_room_from_the_others():
    records = measured(PLANNED, {64: WILDER, 256: WILDER, 400: WILD})
    asked = further_trials(PLANNED, records)
    failed = {trial.trial_id for trial in asked}
    assert {64, 256} <= {trial.patches for trial in asked}
    assert {trial.patches for trial in further_trials(PLANNED, records, failed)} == {400}


def test_what_replaces_a_disturbed_process_is_no_part_of_that_budget():
    """All first processes of all cases were disturbed, which is more than the budget: each is replaced."""
    records = [record(t, WILDER[t.process], taken_cpu_share=0.0 if t.process else 0.6) for t in PLANNED]
    asked = asked_to_the_end(records, lambda _: 1.0)
    cases = sum(trial.process == 0 for trial in PLANNED)
    assert len({first(trial) for trial in asked}) == cases > MOST_OF_ALL * 3 * cases


def test_on_a_machine_that_is_busy_throughout_nothing_is_replaced():
    assert further_trials(PLANNED, measured(PLANNED, {}, taken_cpu_share=0.6)) == []


def test_a_case_without_an_interval_by_plan_or_with_a_failed_process_is_left_as_it_is():
    few = planned(**{"core.processes": "2", "model.processes": "1"})
    assert further_trials(few, measured(few, {64: WILDER})) == []
    records = measured(PLANNED, {64: WILDER})
    records = [r for r in records if not r.trial_id.startswith("core-train-eanet-n64-process1")]
    assert not any(t.variant == "eanet" and t.phase == "train" for t in further_trials(PLANNED, records))


def test_a_case_is_narrow_where_it_is_on_one_machine_of_a_cluster():
    """Two machines of which one takes twice as long: what is averaged is each on its own."""
    another = samples.environment(cpu="another")
    later = [trial.model_copy(update={"process": 3 + trial.process}) for trial in PLANNED]
    slower = [record(trial, 2 * CALM[trial.process - 3], environment=another) for trial in later]
    assert further_trials(PLANNED, [*measured(PLANNED, {}), *slower]) == []
