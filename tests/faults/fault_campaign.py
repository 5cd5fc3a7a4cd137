"""Tries the faults F01 to F36, each by its tests, and prints one JSON line for each: seed, verdict and seconds.

usage: fault_campaign.py [ROW ...] [--offsets 3]   -> all rows unless some are named; exit 1 if one of them has failed

An offset is a seed: tests that draw the moment of their fault read it from RAY_PIPELINE_FAULT_SEED. The table that says
in words what each row does is in README.md.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KILL, WRITES = "faults/test_kill.py", "faults/test_every_write.py"
NODES = "runtime/test_many_nodes.py::test_a_node_with_a_slow_link_changes_no_byte"
SIMULATED, INTERRUPT = "simulation/test_simulation.py", "faults/test_interrupt.py"
ROWS: dict[str, tuple[str, ...]] = {
    "F01": (WRITES, "runs/test_resume.py::test_a_run_without_a_beginning_is_refused"),
    "F02": (KILL,),
    "F03": (KILL, WRITES),
    "F04": (INTERRUPT, SIMULATED),
    "F05": (KILL, "tuning/test_refit.py"),
    "F06": (KILL, "runs/test_resume.py::test_a_run_cut_off_before_its_manifest_answers_without_working"),
    "F07": (
        "registry/test_registry.py::test_cut_off_anywhere_the_same_call_ends_with_one_version_and_its_alias",
        "faults/test_dead_registry.py",
        SIMULATED,
    ),
    "F08": (
        "tuning/test_search.py::test_a_slot_that_dies_or_stands_still_costs_its_trial_a_rung_and_changes_no_byte",
        KILL,
    ),
    "F09": ("faults/test_deadly_trial.py",),
    "F10": (
        "tuning/test_search.py::test_a_slot_that_dies_or_stands_still_costs_its_trial_a_rung_and_changes_no_byte",
        "runtime/test_watchdog.py",
        "faults/test_stall.py",
    ),
    "F11": ("tuning/test_worker_group.py::test_a_failure_of_one_worker_ends_the_step_while_the_other_waits_for_it",),
    "F12": ("runtime/test_many_nodes.py::test_a_node_is_lost_and_the_run_finishes_with_the_same_bytes",),
    "F13": ("runtime/test_many_nodes.py::test_a_node_that_is_cut_off_and_comes_back_changes_no_byte",),
    "F14": ("faults/test_lost_calls.py", NODES),
    "F15": ("faults/test_lost_ray.py", "runtime/test_cluster_address.py"),
    "F16": ("faults/test_full_store.py::test_a_store_smaller_than_the_rows_spills_and_the_driver_stays_small",),
    "F17": ("faults/test_full_store.py::test_a_full_disk_of_spilled_objects_ends_the_run_with_its_folder",),
    "F18": ("faults/test_low_memory.py",),
    "F19": ("faults/test_full_store.py::test_a_store_smaller_than_the_rows_spills_and_the_driver_stays_small",),
    "F20": ("faults/test_faults.py", "storage/test_local_backend.py"),
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
        "registry/test_registry_servers.py::test_twenty_runs_that_end_together_on_one_sqlite_file_get_twenty_versions",
    ),
    "F25": (
        "registry/test_registry.py::test_a_damaged_sqlite_is_refused_and_left_alone",
        "faults/test_faults.py::test_a_sqlite_that_may_not_be_written_is_told_before_anything_is_trained",
    ),
    "F26": (
        "registry/test_registry.py::test_cut_off_anywhere_the_same_call_ends_with_one_version_and_its_alias",
        "registry/test_registry.py::test_one_changed_byte_in_any_file_is_found_and_the_file_named",
    ),
    "F27": ("runtime/test_layout.py", "runtime/test_capacity.py"),
    "F28": (
        "tuning/test_search.py::test_two_trials_of_two_workers_on_two_cpus_do_not_wait_for_each_other",
        "tuning/test_search.py::test_fifty_times_two_trials_of_two_workers_on_two_cpus",
    ),
    "F29": (INTERRUPT,),
    "F30": (
        "runtime/test_jobs.py::test_of_many_submits_at_one_instant_one_wins",
        "runs/test_resume.py::test_a_run_that_another_process_works_on_is_refused_within_two_seconds_with_its_owner",
    ),
    "F31": ("runs/test_run_folder.py::test_creators_at_the_same_time_get_different_numbers",),
    "F32": (SIMULATED, "storage/test_lease.py"),
    "F33": (WRITES, "storage/test_local_backend.py"),
    "F34": (
        "storage/test_blob_store.py::test_every_damage_to_a_sealed_object_is_detected",
        "test_bundle.py::test_a_changed_bit_anywhere_is_found_and_the_file_named",
        "tuning/test_refit.py::test_a_fit_that_was_cut_off_goes_on_from_its_state_to_the_same_bytes",
        "preprocessing/test_cache.py::test_a_damaged_entry_is_noted_removed_and_made_anew",
    ),
    "F35": ("runs/test_rerun.py", "runs/test_resume.py"),
    "F36": ("faults/test_lost_sinks.py",),
}
NEEDS_ROOT = {
    "F13": "a network namespace that is cut off",
    "F14": "a network namespace with a slow link",
    "F17": "a small file system",
}
"""Rows whose tests skip themselves for other users, and what root does for them."""


def attempt(row: str, seed: int) -> dict[str, object]:
    """The verdict of one row at one offset."""
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/{test}" for test in ROWS[row])]
    environment = {**os.environ, "RAY_PIPELINE_FAULT_SEED": str(seed)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    verdict = {"row": row, "seed": seed, "ok": done.returncode == 0, "seconds": round(time.monotonic() - began, 1)}
    return verdict if not done.returncode else {**verdict, "last": done.stdout.splitlines()[-15:]}


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
        for seed in range(asked.offsets):
            verdict = attempt(row, seed)
            ok = ok and bool(verdict["ok"])
            print(json.dumps(verdict), flush=True)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
