"""The catalogue of lifecycle events: how every surface words, colours and marks an event.

One `Entry` per event kind and outcome. The command line, the page, reports and notices all render from it, so a
wording is changed here and nowhere else. `driftloop.readmodel.event_text` renders the templates.

Template syntax:

- ``{field}`` is a field of the message, or a value that `event_text` derives from it. Format specifications apply.
- ``{field!d}`` is a date, ``{field!t}`` a date and time, ``{field!p}`` a period, all of milliseconds in UTC.
  ``{field!q}`` is text of another program on one line, cut and without a full stop. ``{field!x}`` prints nothing.
- ``[[text {field}||other]]`` gives the text, or the other text if a field in it is empty or false.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["info", "good", "ended", "attention", "alarm", "failure", "command"]


@dataclass(frozen=True, slots=True)
class NoticeText:
    """The notice that people get of an event."""

    kind: str
    episode: str
    """Template. One notice is sent per loop, kind and episode."""
    title: str
    text: str
    """Plain sentences; commands are in back-ticks. ``{line}`` is the event's line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Events of one kind and outcome. Texts are templates."""

    line: str
    """One line, for timelines and stories."""
    title: str
    """Heading of an event on the page."""
    label: str = ""
    """One or two words under a mark of a chain's picture. Empty: the mark is small and has no label."""
    sublabel: str = ""
    severity: Severity = "info"
    glyph: str = "other"
    """A name in ``glyphs.js``."""
    notable: bool = True
    """Whether timelines show it by default."""
    summary: str = ""
    """The numbers alone, for the state of a loop; ``{summary}`` in the other templates."""
    mark: str = ""
    """Text of the mark across the report's plots. Empty: the event has no mark."""
    notice: NoticeText | None = None


_ALARM = Entry(
    summary="{detector}: {statistic:.2f} > {threshold:g} over {blocks} blocks",
    line="ALARM {summary}.[[ {explanation}]]",
    title="alarm: {detector}",
    label="{detector}",
    severity="alarm",
    glyph="alarm",
    mark="alarm {detector}",
    notice=NoticeText(
        kind="drift",
        episode="{detector} {release_id} {episode}",
        title="{loop}: detector {detector} alarms",
        text="{line!q}. Statistic {statistic:.4g}, threshold {threshold:.4g}, {blocks} blocks, release {release_id}, "
        "event time {time_ms!t} UTC. What follows, or why nothing does: `driftloop status`, "
        "`driftloop timeline {loop}`. If the newest change caused the drift, undo it: "
        "`driftloop rollback {loop} --why ...`.",
    ),
)
_NUMBERS = "[[, gain {estimate:+.4f} [{lower:+.4f}, {upper:+.4f}] over {interval.blocks} blocks, margin {margin:g}]]"

RESULTS = {
    "passed": "passed",
    "failed": "failed",
    "limit-reached": "not known yet",
    "not-known-yet": "not known yet",
}
"""Word for each outcome of a verdict."""


def _verdict(outcome: str, glyph: str, label: str = "") -> tuple[tuple[str, str], Entry]:
    result = RESULTS[outcome]
    entry = Entry(
        summary=f"{{stage}}: {result}{_NUMBERS}",
        line="verdict on {release_id}: {summary}[[, limit reached{limit_reached!x}]]",
        title=f"{{stage}} verdict: {result}",
        label=label,
        sublabel="{stage}" if label else "",
        glyph=glyph,
        notable=bool(label),
    )
    return ("VerdictReached", outcome), entry


def _stage(stage: str, glyph: str) -> Entry:
    return Entry(
        line=f"{{release_id}} enters {stage}[[, answers {{share:.0%}} of keys]]",
        title=f"enters {stage}",
        label=stage,
        glyph=glyph,
    )


def _end(stage: str, glyph: str) -> Entry:
    return replace(_stage(stage, glyph), line=f"{{release_id}} enters {stage}", notable=False)


_COMMAND = Entry(
    line="[[{who}||somebody]] says {name}[[ {about}]]: [[{why}||no reason given]]",
    title="[[{who}||somebody]]: {name}",
    label="{name}",
    severity="command",
    glyph="person",
)
_CLOSED = Entry(
    line="window of {start_ms!t} closed: {joins.joined:,} outcomes joined",
    title="window closed",
    label="window closed",
    notable=False,
)
KEPT_UNTIL = {
    "run-open": "until the open run and its release end",
    "release-open": "until the open release is promoted or ends",
    "cooldown": "until the cooldown is over",
    "paused": "until somebody resumes the loop",
    "no-window": "until the first window closes",
    "no-trainer": "until there is a trainer, or a model is imported",
    "breaker": "because the breaker is open: only a person starts a run",
}
"""How long a reason is kept, by `because` of its event."""
_REASON_KEPT = Entry(
    line="reason kept: {reason.kind}, {kept_until}",
    title="reason kept",
    label="kept for later",
)
_REQUESTED = Entry(
    line="training requested: {reason_kinds}; data {window_start_ms!t} to {window_end_ms!t}",
    title="retrain requested: {distinct_kinds}",
    label="requested",
    glyph="asked",
)
_TRAINED = Entry(
    line="run {run_id} done in {duration_s:.1f} s on {training_rows:,} rows"
    "[[; validation loss {loss:.4f}, with the training base rate {base_loss:.4f}]]",
    title="candidate trained",
    label="trained",
    glyph="trained",
    mark="run",
)

ENTRIES: dict[tuple[str, str], Entry] = {
    ("WindowClosed", ""): _CLOSED,
    ("WindowDecided", ""): Entry(
        line="{decider} looked at the window that ended {end_ms!t}",
        title="window decided",
        label="window decided",
        notable=False,
    ),
    ("WindowRestated", ""): Entry(
        line="RESTATED the window of {start_ms!t}: {corrections:,} outcome[[s{several!x}]] corrected"
        "[[; the champion's loss is {loss_after:.4f}, not {loss_before:.4f}]]",
        title="window restated",
        label="window restated",
        severity="attention",
    ),
    ("DriftDetected", "trigger"): _ALARM,
    ("DriftDetected", ""): replace(
        _ALARM,
        summary="{detector}: {statistic:.2f} > {threshold:g} over {blocks} blocks, only watched",
        line="WATCH {summary}.[[ {explanation}]]",
        title="watch: {detector}",
        severity="attention",
        mark="watch {detector}",
        notice=NoticeText(
            kind="watch",
            episode="{detector} {release_id} {episode}",
            title="{loop}: detector {detector} shows a change",
            text="{line!q}. Statistic {statistic:.4g}, threshold {threshold:.4g}, {blocks} blocks, release "
            "{release_id}, event time {time_ms!t} UTC. The loop only watches it, so no retrain follows. Check the "
            "source of the data for a changed unit, default or field. If the model should learn the change: "
            "`driftloop retrain {loop} --why ...`.",
        ),
    ),
    ("ReasonCoalesced", "no-trainer"): replace(
        _REASON_KEPT,
        line="nothing is trained for {reason.kind}: {loop} has no trainer; bring a model with "
        "`driftloop import {loop} --onnx FILE --why ...`",
    ),
    ("ReasonCoalesced", "superseded"): replace(
        _REASON_KEPT,
        line="reason dropped: {reason.kind}[[; the champion is now {blocked_by}]]",
        title="reason dropped",
        label="dropped",
    ),
    ("ReasonCoalesced", "breaker"): replace(
        _REASON_KEPT,
        line="reason kept: {reason.kind}, {kept_until}; fix the cause, then `driftloop retrain {loop} --why ...`",
        severity="attention",
        notice=NoticeText(
            kind="breaker",
            episode="{reason.kind} {reason.event_id}",
            title="{loop}: nothing is trained for {reason.kind}",
            text="The breaker is open, because the last runs failed or their models were worse. The reason is kept: "
            "{reason.detail!q}. What failed: `driftloop timeline {loop}`. Fix it, then "
            "`driftloop retrain {loop} --why ...`; a promotion closes the breaker.",
        ),
    ),
    ("ReasonCoalesced", ""): _REASON_KEPT,
    ("RetrainRequested", "import"): replace(
        _REQUESTED,
        line="import of {model.source}: to be judged on data {window_start_ms!t} to {window_end_ms!t}",
        title="run requested: {distinct_kinds}",
    ),
    ("RetrainRequested", ""): _REQUESTED,
    ("RunStarted", ""): Entry(line="run started", title="run started", label="run", glyph="run", notable=False),
    ("CandidateTrained", "import"): replace(
        _TRAINED,
        line="run {run_id} packed the imported model in {duration_s:.1f} s, tried on {rows:,} rows"
        "[[; validation loss {loss:.4f}, with the training base rate {base_loss:.4f}]]",
        title="imported model packed",
    ),
    ("CandidateTrained", ""): _TRAINED,
    ("RunFailed", ""): Entry(
        line="run {run_id} FAILED: {reason}.[[ {last_line}]]",
        title="run failed",
        label="failed",
        severity="failure",
        glyph="failed",
        notice=NoticeText(
            kind="run-failed",
            episode="[[{run_id}||{request_id}]]",
            title="{loop}: a training run failed",
            text="Run {run_id} of request {request_id} gave no model: [[{reason!q}||error]][[: {detail!q}]]. "
            "The champion does not change. What requested the run: `driftloop timeline {loop}`. The run's own output: "
            "training/{loop}/{run_id}/stderr.log in DRIFTLOOP_HOME. Event: {line!q}.",
        ),
    ),
    **dict(
        [
            _verdict("passed", "better", "passed"),
            _verdict("failed", "worse", "failed"),
            _verdict("limit-reached", "unknown", "not known"),
            _verdict("not-known-yet", "unknown"),
        ]
    ),
    ("ReleaseCreated", ""): Entry(
        line="release created",
        title="release created",
        label="release",
        glyph="release",
        notable=False,
    ),
    ("StageEntered", "shadow"): replace(_stage("shadow", "shadow"), mark="shadow"),
    ("StageEntered", "canary"): replace(_stage("canary", "canary"), sublabel="{percent}%", mark="canary"),
    ("StageEntered", "champion"): _end("champion", "champion"),
    ("StageEntered", "rejected"): _end("rejected", "ended"),
    ("StageEntered", "rolled-back"): _end("rolled-back", "back"),
    ("StageEntered", "retired"): _end("retired", "other"),
    ("StageEntered", ""): _stage("{stage}", "ended"),
    ("ApprovalRequested", ""): Entry(
        line="{release_id} WAITS for an approval to enter {to_stage}, until {deadline_ms!t}",
        title="approval requested",
        label="waits",
        severity="attention",
        glyph="wait",
        notice=NoticeText(
            kind="approval",
            episode="{release_id} {to_stage} {deadline_ms}",
            title="{loop}: {release_id} waits for an approval",
            text="{line!q} UTC. If nobody answers, the loop's policy decides once its event time is past "
            "{deadline_ms!t} UTC, {remaining_ms!p} after this. Read the verdicts: `driftloop timeline {loop}`. "
            "Approve: `driftloop approve {loop} {release_id} --why ...`. "
            "Reject: `driftloop reject {loop} {release_id} --why ...`.",
        ),
    ),
    ("ChampionPromoted", ""): Entry(
        line="PROMOTED {release_id}[[ in place of {previous_release_id}||, the first champion]] (epoch {epoch})",
        title="promoted: {release_id}",
        label="promoted",
        severity="good",
        glyph="champion",
        mark="promoted",
    ),
    ("ReleaseRejected", ""): Entry(
        line="REJECTED {release_id} in {stage}: {first_reason}",
        title="rejected in {stage}",
        label="rejected",
        severity="ended",
        glyph="ended",
        mark="rejected",
    ),
    ("ReleaseRolledBack", ""): Entry(
        line="ROLLED BACK {release_id} from {from_stage}: {first_reason}",
        title="rolled back from {from_stage}",
        label="rolled back",
        severity="ended",
        glyph="back",
        mark="rolled back",
        notice=NoticeText(
            kind="rollback",
            episode="{release_id} {from_stage}",
            title="{loop}: {release_id} was rolled back",
            text="{line!q}. All reasons: [[{reason!q}||no reason given]]. "
            "[[{to_release_id} answers||Nobody answers: the loop has no champion]]. "
            "What led to it: `driftloop timeline {loop}`.",
        ),
    ),
    ("RouteChanged", ""): Entry(
        line="route {epoch}: champion {champion.release_id}[[, challenger {challenger.release_id}]]",
        title="route {epoch}",
        label="route {epoch}",
        glyph="route",
        notable=False,
    ),
    ("RouteConverged", ""): Entry(
        line="route {epoch} answers: champion {champion_release_id}[[, challenger {challenger_release_id}]] "
        "({duration_ms:.0f} ms)",
        title="route {epoch} answers",
        label="answers",
        glyph="route",
    ),
    ("RouteFailed", ""): Entry(
        line="route {epoch} FAILED: {reason}",
        title="route {epoch} failed",
        label="failed",
        severity="failure",
        glyph="ended",
        notice=NoticeText(
            kind="route-failed",
            episode="{epoch}",
            title="{loop}: route {epoch} failed",
            text="{line!q}. The router could not serve route {epoch} for [[{release_id}||no release]]: "
            "[[{reason!q}||no reason given]]. The previous route, if there is one, answers, and the change that made "
            "this route ends. What followed: `driftloop timeline {loop}`. If the answers are still wrong: "
            "`driftloop rollback {loop} --why ...`.",
        ),
    ),
    ("CommandIgnored", ""): Entry(
        line="{command} changed nothing: {reason}",
        title="command ignored",
        label="command ignored",
    ),
    ("TopicPaused", ""): Entry(
        summary="{dead_letters} dead letters in a row, the last {reason}",
        line="{event_type} is NOT READ any more: {summary}[[, {detail!q}]]",
        title="{event_type} is paused",
        label="topic paused",
        severity="failure",
        glyph="failed",
        notice=NoticeText(
            kind="topic-paused",
            episode="{event_type} {partition} {offset}",
            title="{loop}: {event_type} is not read any more",
            text="Ingestion refused {dead_letters} records of {event_type} in a row, the last for {reason}"
            "[[: {detail!q}]]. The records stay in the topic. Other topics are still read, but no window of {loop} "
            "closes. See the dead letters: `driftloop dlq list {event_type}`. If the definition is wrong, correct "
            "loop.yaml and restart: the topic is then read again. If the producer was wrong and is fixed: "
            "`driftloop resume {loop} --why ...`.",
        ),
    ),
    ("TopicResumed", ""): Entry(
        line="{event_type} is read again, because of [[a {because}||a command]]",
        title="{event_type} is read again",
        label="topic resumed",
        glyph="route",
    ),
    ("WriterGivenUp", ""): Entry(
        line="windows no longer wait for predictions of [[Triton {writer}||the Triton]]: "
        "[[{who}||the timeout]] gave it up[[, {why!q}]]",
        title="[[{writer}||the Triton]] is given up",
        label="writer given up",
        severity="failure",
        glyph="failed",
        notice=NoticeText(
            kind="writer-given-up",
            episode="{writer} {start}",
            title="{loop}: windows no longer wait for [[Triton {writer}||the Triton]]",
            text="{line!q}. Its newest watermark was {watermark_ms!t} UTC. Predictions that it answered after that and "
            "did not send are missing in their windows; those that it still sends count in later ones. What followed: "
            "`driftloop timeline {loop}`.",
        ),
    ),
    **{(name, ""): _COMMAND for name in ("Approve", "Import", "Pause", "Reject", "Resume", "Retrain", "Rollback")},
}
OTHER = Entry(line="{name}", title="{name}", label="{name}", notable=False)
"""Every other message."""

STUCK = NoticeText(
    kind="stuck",
    episode="{oldest} since {since_ms!d}",
    title="{loop}: stuck for {age_ms!p}",
    text="Open since {since_ms!t} UTC: {oldest!q}.[[ {others} more wait too.]] A part is down or makes no progress. "
    "Which part: `driftloop status`. The newest events: `driftloop timeline {loop}`.",
)
"""The notice of work that stays pending for too long. It has no event."""
NOTICE_KINDS = (*dict.fromkeys(entry.notice.kind for entry in ENTRIES.values() if entry.notice), STUCK.kind)
