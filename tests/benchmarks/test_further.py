"""Further processes: asked for where an interval is wide, the widest first, and within a budget."""

import math

from benchmarks import datasets
from benchmarks.further import MOST_OF_ALL, MOST_TIMES_PLANNED, further_trials
from benchmarks.plan import Overrides, build_plan
from results.trials import StepTimeTrial
from tests import samples

NEVER_CALM = (1.0, 1.5, 2.2, 1.2, 1.9, 1.35, 2.0, 1.7, 1.1)
CALM, WILD, WILDER = (1.0, 1.01, 0.99), (1.0, 1.2, 0.9), (1.0, 1.6, 0.8)


def planned(**settings):
    settings = {"core.patches": "64,121,144,196,225,256,324,400", "model.patches": "16"} | settings
    overrides = Overrides(variants=("eanet", "vit"), settings=settings)
    return build_plan(["scaling"], "quick", lambda name: datasets.shape(name, None), overrides).trials


def record(trial, seconds):
    return samples.step_time(seconds=seconds).model_copy(update={"trial_id": trial.trial_id})


def measured(trials, times):
    """A record of each trial; `times` holds its process's seconds by the case's size, else it is calm."""
    return [
        record(trial, times.get(trial.patches, CALM)[trial.process % 3])
        for trial in trials
        if isinstance(trial, StepTimeTrial)
    ]


def test_a_narrow_case_is_measured_no_further():
    trials = planned()
    assert further_trials(trials, measured(trials, {})) == []


def test_a_wide_case_is_measured_in_the_next_process_and_the_widest_comes_first():
    trials = planned()
    asked = further_trials(trials, measured(trials, {64: WILD, 256: WILDER}))
    assert {(trial.patches, trial.process) for trial in asked} == {(64, 3), (256, 3)}
    assert [trial.patches for trial in asked] == sorted((t.patches for t in asked), reverse=True)
    assert len(asked) == 8, "two variants and two phases of either size"


def test_what_is_asked_for_is_the_planned_case_but_for_its_process():
    trials = planned()
    (asked, *_) = further_trials(trials, measured(trials, {64: WILD}))
    (first,) = [t for t in trials if t == asked.model_copy(update={"process": 0})]
    assert first.trial_id != asked.trial_id


def run_to_the_end(trials, times):
    """All that is asked for, round by round, each with the seconds of its size."""
    records, asked = measured(trials, times), []
    while more := further_trials(trials, records):
        asked += more
        records += measured(more, times)
    return asked


def test_one_case_that_stays_wide_ends_with_three_times_its_processes():
    trials = planned()
    (case,) = [
        t
        for t in trials
        if getattr(t, "scope", "") == "model" and (t.phase, t.variant, t.process) == ("train", "vit", 0)
    ]
    records = [
        record(t, NEVER_CALM[t.process] if t.model_copy(update={"process": 0}) == case else CALM[t.process])
        for t in trials
        if isinstance(t, StepTimeTrial)
    ]
    asked = []
    while more := further_trials(trials, records):
        asked += more
        records += [record(t, NEVER_CALM[t.process]) for t in more]
    assert [trial.process for trial in asked] == list(range(3, 3 * MOST_TIMES_PLANNED))


def test_all_that_stay_wide_share_the_suites_budget():
    trials = planned()
    cases = sum(isinstance(trial, StepTimeTrial) for trial in trials)
    assert len(run_to_the_end(trials, {16: WILDER, 64: WILDER, 256: WILDER})) == math.ceil(MOST_OF_ALL * cases)


def test_a_process_that_fails_takes_no_room_from_the_others():
    trials = planned()
    records = measured(trials, {64: WILDER, 256: WILDER, 400: WILD})
    first = further_trials(trials, records)
    failed = {trial.trial_id for trial in first}
    assert {64, 256} <= {trial.patches for trial in first}
    assert {trial.patches for trial in further_trials(trials, records, failed)} == {400}


def test_what_replaces_a_disturbed_process_is_no_part_of_that_budget():
    """All first processes of all cases were disturbed, which is more than the budget: each is replaced."""
    trials = planned()
    records = [
        record.model_copy(update={"taken_cpu_share": 0.6 if trial.process == 0 else 0.0})
        for trial, record in zip(
            [trial for trial in trials if isinstance(trial, StepTimeTrial)],
            [record(trial, WILDER[trial.process]) for trial in trials if isinstance(trial, StepTimeTrial)],
            strict=True,
        )
    ]
    asked = []
    while more := further_trials(trials, records):
        asked += more
        records += [record(trial, 1.0) for trial in more]
    cases = sum(isinstance(trial, StepTimeTrial) and trial.process == 0 for trial in trials)
    assert len({trial.model_copy(update={"process": 0}) for trial in asked}) == cases > MOST_OF_ALL * 3 * cases


def test_on_a_machine_that_is_busy_throughout_nothing_is_replaced():
    trials = planned()
    records = [r.model_copy(update={"taken_cpu_share": 0.6}) for r in measured(trials, {})]
    assert further_trials(trials, records) == []


def test_a_case_without_an_interval_by_plan_or_with_a_failed_process_is_left_as_it_is():
    few = planned(**{"core.processes": "2", "model.processes": "1"})
    assert further_trials(few, measured(few, {64: WILDER})) == []
    trials = planned()
    records = [r for r in measured(trials, {64: WILDER}) if not r.trial_id.startswith("core-train-eanet-n64-process1")]
    assert not any(t.variant == "eanet" and t.phase == "train" for t in further_trials(trials, records))


def test_a_case_is_narrow_where_it_is_on_one_machine_of_a_cluster():
    """Two machines of which one takes twice as long: what is averaged is each on its own."""
    trials = planned()
    slower = [
        record(trial.model_copy(update={"process": 3 + trial.process}), 2 * CALM[trial.process]).model_copy(
            update={"environment": samples.ENVIRONMENT.model_copy(update={"cpu": "another"})}
        )
        for trial in trials
        if isinstance(trial, StepTimeTrial)
    ]
    assert further_trials(trials, [*measured(trials, {}), *slower]) == []
