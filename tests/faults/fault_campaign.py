"""Tries the faults F01 to F36, each by its tests, and prints one JSON line for each: seed, verdict and seconds.

usage: fault_campaign.py [ROW ...] [--offsets 3]   -> all rows unless some are named; exit 1 if one of them has failed

An offset is a seed: a test that takes a `fault_seed` draws from it when and where its fault comes, and runs once for
each offset. All other tests run once; their line has no seed. The table that says in words what each row does, and
which rows have offsets, is in README.md.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DRIVER = "faults/test_driver_kill.py::test_a_driver_that_is_killed_in_a_stage_costs_no_byte -k "
WRITES, REFIT, INTERRUPT = "faults/test_every_write.py", "tuning/test_refit.py", "faults/test_interrupt.py"
NODES, SIMULATED = "runtime/test_many_nodes.py::test_a_node_", "simulation/test_simulation.py"
SLOT = "tuning/test_search.py::test_a_slot_that_dies_or_stands_still_costs_its_trial_a_rung_and_changes_no_byte"
CUT_OFF = "registry/test_registry.py::test_cut_off_anywhere_the_same_call_ends_with_one_version_and_its_alias"
ROWS: dict[str, tuple[str, ...]] = {
    "F01": (DRIVER + "check", WRITES, "runs/test_resume.py::test_a_run_without_a_beginning_is_refused"),
    "F02": (DRIVER + "read",),
    "F03": (DRIVER + "encode", WRITES),
    "F04": (DRIVER + "search", SIMULATED),
    "F05": (DRIVER + "fit", REFIT),
    "F06": (
        DRIVER + "evaluate",
        "runs/test_resume.py::test_a_run_cut_off_before_its_manifest_answers_without_working",
    ),
    "F07": (DRIVER + "register", CUT_OFF, "faults/test_dead_registry.py", SIMULATED),
    "F08": (SLOT, "faults/test_driver_kill.py::test_a_worker_that_is_killed_in_a_trial_costs_no_byte"),
    "F09": ("faults/test_deadly_trial.py",),
    "F10": (SLOT, "runtime/test_watchdog.py", "faults/test_stall.py"),
    "F11": (
        "tuning/test_worker_group.py::test_a_failure_of_one_worker_ends_the_step_while_the_other_waits_for_it",
        "faults/test_killed_collective.py",
    ),
    "F12": (NODES + "is_lost_and_the_run_finishes_with_the_same_bytes",),
    "F13": (NODES + "that_is_cut_off_and_comes_back_changes_no_byte",),
    "F14": ("faults/test_lost_calls.py", NODES + "with_a_slow_link_changes_no_byte"),
    "F15": ("faults/test_lost_ray.py", "runtime/test_cluster_address.py"),
    "F16": ("faults/test_full_store.py::test_a_store_smaller_than_the_rows_spills_and_the_driver_stays_small",),
    "F17": ("faults/test_full_store.py::test_a_full_disk_of_spilled_objects_ends_the_run_with_its_folder",),
    "F18": ("faults/test_low_memory.py",),
    "F19": ("faults/test_full_store.py::test_a_store_smaller_than_the_rows_spills_and_the_driver_stays_small",),
    "F20": ("faults/test_faults.py", "faults/test_failing_write.py", "storage/test_local_backend.py"),
    "F21": ("faults/test_cut_uploads.py",),
    "F22": (
        "faults/test_faults.py::test_a_registry_that_is_down_is_told_before_anything_is_trained",
        "registry/test_registry.py::test_a_registry_that_refuses_or_hangs_is_an_error_before_any_training",
    ),
    "F23": (
        "faults/test_faults.py::test_a_registry_that_is_down_at_the_end_costs_no_model",
        "faults/test_dead_registry.py",
    ),
    "F24": (
        "registry/test_registry.py::test_a_locked_sqlite_is_waited_for_and_then_named",
        "faults/test_sqlite_faults.py -k test_a_lock_",
        "registry/test_registry_servers.py::test_twenty_runs_that_end_together_on_one_sqlite_file_get_twenty_versions",
    ),
    "F25": (
        "registry/test_registry.py::test_a_damaged_sqlite_is_refused_and_left_alone",
        "faults/test_sqlite_faults.py -k test_a_damage_",
        "faults/test_faults.py::test_a_sqlite_that_may_not_be_written_is_told_before_anything_is_trained",
    ),
    "F26": (
        CUT_OFF,
        "registry/test_registry.py::test_one_changed_byte_in_any_file_is_found_and_the_file_named",
        "faults/test_damage.py::test_a_damaged_version_is_never_loaded_and_the_file_is_named",
    ),
    "F27": ("runtime/test_layout.py", "runtime/test_capacity.py", "runtime/test_autoscaling.py"),
    "F28": (
        "tuning/test_search.py::test_two_trials_of_two_workers_on_two_cpus_do_not_wait_for_each_other",
        "tuning/test_search.py::test_fifty_times_two_trials_of_two_workers_on_two_cpus",
    ),
    "F29": (INTERRUPT,),
    "F30": (
        "runtime/test_jobs.py::test_of_many_submits_at_one_instant_one_wins",
        "runs/test_resume.py::test_a_run_that_another_process_works_on_is_refused_within_two_seconds_with_its_owner",
        "faults/test_same_run_twice.py::test_a_run_that_is_resumed_while_it_runs_is_refused_and_goes_on",
    ),
    "F31": (
        "runs/test_run_folder.py::test_creators_at_the_same_time_get_different_numbers",
        "faults/test_same_run_twice.py::test_two_runs_of_one_name_that_start_at_once_share_no_file",
    ),
    "F32": (SIMULATED, "storage/test_lease.py"),
    "F33": (WRITES, "storage/test_local_backend.py"),
    "F34": ("storage/test_blob_store.py::test_every_damage_to_a_sealed_object_is_detected", "faults/test_damage.py"),
    "F35": ("runs/test_rerun.py", "runs/test_resume.py"),
    "F36": ("faults/test_lost_sinks.py",),
}
NEEDS_ROOT = {
    "F13": "a network namespace that is cut off",
    "F14": "a network namespace with a slow link",
    "F17": "a small file system",
}
"""Rows whose tests skip themselves for other users, and what root does for them."""


def attempt(row: str, offsets: int) -> Iterator[dict[str, object]]:
    """The verdicts of one row: one for the tests without an offset, then one for each offset."""
    cases: dict[int | None, list[ElementTree.Element]] = {}
    for test in ROWS[row]:  # each in a process of its own: tests that share a Ray cannot be mixed with others
        for case in tried(test, offsets):
            drawn = re.search(r"\bseed(\d+)\b", str(case.get("name")))
            cases.setdefault(int(drawn[1]) if drawn else None, []).append(case)
    for seed in sorted(cases, key=lambda seed: -1 if seed is None else seed):
        yield verdict(row, seed, cases[seed])


def tried(test: str, offsets: int) -> list[ElementTree.Element]:
    """The results of a test, or of all tests of a file, in JUnit's format."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        environment = {**os.environ, "RAY_PIPELINE_FAULT_OFFSETS": str(offsets)}
        words, *only = test.split(" -k ")
        command += [f"tests/{words}", *(word for each in only for word in ("-k", each))]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if report.is_file() and (found := list(ElementTree.parse(report).iter("testcase"))):
            return found
    broken = ElementTree.Element("testcase", name=test, time="0")
    ElementTree.SubElement(broken, "error", message=(done.stdout + done.stderr)[-2000:])
    return [broken]


def verdict(row: str, seed: int | None, cases: list[ElementTree.Element]) -> dict[str, object]:
    """Whether all these tests have passed, and the messages of those that have not."""
    told: dict[str, object] = {"row": row} if seed is None else {"row": row, "seed": seed}
    failed = [(case, problem) for case in cases for problem in case if problem.tag in ("failure", "error")]
    told |= {
        "ok": not failed,
        "tests": len(cases),
        "seconds": round(sum(float(case.get("time", 0)) for case in cases), 1),
    }
    if skipped := sum(found.tag == "skipped" for case in cases for found in case):
        told["skipped"] = skipped
    if failed:
        told["failed"] = {case.get("name"): str(problem.get("message"))[:2000] for case, problem in failed}
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="F01 to F36")
    parser.add_argument("--offsets", type=int, default=1)
    asked = parser.parse_args()
    ok = True
    for row in asked.rows or sorted(ROWS):
        if row in NEEDS_ROOT and os.getuid() != 0:
            print(json.dumps({"row": row, "skipped": f"needs root: {NEEDS_ROOT[row]}"}), flush=True)
            continue
        for told in attempt(row, asked.offsets):
            ok = ok and bool(told["ok"])
            print(json.dumps(told), flush=True)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
