"""Every DAG file loads, is documented and thin, and says who may start it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import CronTriggerTimetable
from airflow.sdk.exceptions import ParamValidationError
from airflow.utils.types import DagRunType

from include.activation.audiences import switched_on
from include.local.stack import load_pools
from regulars_airflow.alerting import TellFailure
from regulars_airflow.dbt_build import DbtModel
from regulars_airflow.guarding import GuardPlan

DAGS = Path(__file__).parents[2] / "dags"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def dagbag(home: Path) -> Iterator[DagBag]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("REGULARS_HOME", str(home))
        environment.setenv("REGULARS_SOURCES", str(home / "nowhere.yml"))
        yield DagBag(dag_folder=str(DAGS))


def test_every_file_yields_one_dag_of_the_same_name(dagbag):
    assert dagbag.import_errors == {}
    assert dagbag.dags.keys() == {path.stem for path in DAGS.glob("*.py")}
    assert dagbag.dags


def test_every_dag_is_documented_tagged_and_retries(dagbag):
    for dag in dagbag.dags.values():
        assert dag.doc_md.startswith("## "), dag.dag_id
        assert dag.tags, dag.dag_id
        assert dag.default_args["retries"] >= 1, dag.dag_id
        assert dag.default_args["retry_policy"], dag.dag_id


def test_every_task_tells_when_it_breaks_except_the_models_whose_build_does(dagbag):
    models, others = [], []
    for dag in dagbag.dags.values():
        for task in dag.tasks:
            (models if isinstance(task, DbtModel) else others).append(task)
    assert models
    for task in others:
        # A mapped task keeps what it was given; any other one makes a list of it.
        [told] = task.on_failure_callback if not task.is_mapped else [task.on_failure_callback]
        assert isinstance(told, TellFailure), task.task_id
    # Each would cost a process of Airflow's, at every build.
    for task in models:
        assert not task.on_failure_callback, task.task_id
        assert not task.on_success_callback, task.task_id


def test_every_dag_file_is_short():
    for path in DAGS.glob("*.py"):
        assert len(path.read_text().splitlines()) < 80, path.name


def test_no_module_is_named_like_a_dbt_plugin():
    """dbt imports every top-level module on sys.path that begins with `dbt_`."""
    assert not list(DAGS.glob("dbt_*.py"))


def test_only_one_task_at_a_time_writes_the_warehouse(dagbag):
    writers = {
        f"{dag.dag_id}.{task.task_id}"
        for dag in dagbag.dags.values()
        for task in dag.tasks
        if task.pool == "warehouse"
    }
    assert writers == {
        "ingest_orders.ingest",
        "build_audiences.raw_gate",
        "build_audiences.models.dbt_build",
        "build_audiences.audience_gate",
        "build_audiences.publish",
        "erase_customers.erase",
    }


def test_every_pool_a_task_names_comes_with_the_project(dagbag):
    declared = {*load_pools(), "default_pool"}
    used = {task.pool for dag in dagbag.dags.values() for task in dag.tasks}
    assert used <= declared


def test_the_sync_is_started_per_audience_and_never_by_a_backfill(dagbag):
    sync = dagbag.dags["sync_audiences"]
    assert set(sync.allowed_run_types) == {DagRunType.ASSET_TRIGGERED, DagRunType.MANUAL}
    assert sync.timetable.default_partition_mapper.allowed_keys == switched_on()
    assert sync.params.get_param("audience").schema["enum"] == [None, *switched_on()]


def test_parsing_the_dags_touches_no_data(dagbag, home):
    assert list(home.iterdir()) == []


def test_whoever_waits_for_a_person_holds_up_nobody_else(dagbag):
    sync = dagbag.dags["sync_audiences"]
    guards = [task for task in sync.tasks if isinstance(task, GuardPlan)]
    assert {guard.task_group.group_id for guard in guards} == set(sync.task_group.children)
    for guard in guards:
        group = guard.task_group.group_id
        assert guard.pool == "default_pool"
        assert guard.upstream_task_ids == {f"{group}.plan"}
        assert guard.downstream_task_ids == {f"{group}.send"}
    assert sync.max_active_runs >= 10 * len(switched_on())


def test_an_address_is_no_parameter_of_an_erasure(dagbag):
    requests = dagbag.dags["erase_customers"].params.get_param("requests")
    assert requests.resolve(["shop_erasures:1", "r-1"])
    for address in ("ann@shop.test", "+4915123456789", ""):
        with pytest.raises(ParamValidationError):
            requests.resolve([address])
    assert set(dagbag.dags["erase_customers"].allowed_run_types) == {DagRunType.MANUAL}


def test_a_task_hands_over_one_value_and_not_one_for_each_entry(dagbag):
    tasks = [task for dag in dagbag.dags.values() for task in dag.tasks]
    assert not [task.task_id for task in tasks if getattr(task, "multiple_outputs", False)]


def test_no_dag_begins_by_itself_because_it_is_new(dagbag):
    timed = [
        dag.timetable
        for dag in dagbag.dags.values()
        if isinstance(dag.timetable, CronTriggerTimetable)
    ]
    assert timed
    assert {timetable.run_immediately for timetable in timed} == {timedelta(0)}
