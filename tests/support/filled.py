"""Fills a database with any number of decisions and the rows that belong to them, in a few statements.

One picture in twenty is the same meme: a person judged it once, the others inherited that verdict. One upload
in ten has no reference. The oldest tenth was decided by the policy `stickers`. One in five goes to review: most
of those are open, in the queues `default`, `urgent` and, with the lowest priority, `spam`.
"""

from sqlalchemy import text

from worker.store.engine.database import Database

MODEL = "c" * 64
#: Digests of the policies `default` and `stickers`.
DEFAULT, STICKERS = "d" * 64, "e" * 64
#: SHA-256 of one upload in twenty.
MEME = "0" * 64
DAYS = 30

_SQLITE = {
    "json": "{}",
    "at": "strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || ((:count - i) * :seconds / :count) || ' seconds') || '000'",
    "digest": "printf('%064d', {})",
    "bytes": "zeroblob(16)",
    "false": "0",
    "true": "1",
}
_POSTGRESQL = {
    "json": "CAST({} AS jsonb)",
    "at": "now() - (:count - i) * make_interval(secs => CAST(:seconds AS float)) / :count",
    "digest": "lpad(CAST({} AS text), 64, '0')",
    "bytes": "decode(repeat('00', 16), 'hex')",
    "false": "false",
    "true": "true",
}


def fill(database: Database, count: int) -> None:
    """Add `count` decided submissions, evenly over the last month."""
    is_postgresql = database.address.file is None
    words = _POSTGRESQL if is_postgresql else _SQLITE
    values = {"count": count, "seconds": DAYS * 86400}
    with database.migrating() as connection:
        if is_postgresql:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in _statements(words):
            named = {name: value for name, value in values.items() if f":{name}" in statement}
            connection.execute(text(statement), named)
        if is_postgresql:
            for table in ("decisions", "reviews"):
                connection.execute(
                    text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
                )
    if is_postgresql:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def _statements(words: dict[str, str]) -> list[str]:
    at, false, true, json = words["at"], words["false"], words["true"], words["json"].format
    sha256 = f"CASE WHEN i % 20 = 0 THEN '{MEME}' ELSE {words['digest'].format('i')} END"
    policy = "CASE WHEN i * 10 <= :count THEN 'stickers' ELSE 'default' END"
    digest = f"CASE WHEN i * 10 <= :count THEN '{STICKERS}' ELSE '{DEFAULT}' END"
    labels = json(
        """CASE WHEN i % 5 = 1 AND i * 50 <= :count THEN '["weapons", "drinks"]'
        WHEN i % 5 = 1 THEN '["weapons"]' WHEN i * 50 <= :count THEN '["drinks"]' ELSE '[]' END"""
    )
    no_labels, an_object = json("'[]'"), json("'{}'")
    action = "CASE WHEN i % 5 = 1 THEN 'review' WHEN i % 33 = 0 THEN 'block' ELSE 'allow' END"
    return [
        (
            "CREATE TEMPORARY TABLE numbers AS WITH RECURSIVE n(i) AS "
            "(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) SELECT i FROM n"
        ),
        (
            "INSERT INTO policy_versions (digest, name, text, first_seen_at) "
            f"SELECT '{DEFAULT}', 'default', 'x', CURRENT_TIMESTAMP "
            f"UNION ALL SELECT '{STICKERS}', 'stickers', 'x', CURRENT_TIMESTAMP"
        ),
        (
            "INSERT INTO submissions (id, reference, policy, sha256, source, state, review_source, "
            "published_again, attempts, crashes, created_at, updated_at) "
            f"SELECT 'upload-' || i, CASE WHEN i % 10 = 0 THEN '' ELSE 'post-' || (i / 3) END, {policy}, {sha256}, "
            f"{an_object}, 'decided', "
            f"CASE WHEN i % 5 = 1 THEN {an_object} END, 0, 1, 0, {at}, {at} FROM numbers"
        ),
        (
            "INSERT INTO decisions (id, submission_id, policy, policy_digest, model, model_digest, action, labels, "
            "severity, reason, sha256, format, width, height, frames, held_back, created_at) "
            f"SELECT i, 'upload-' || i, {policy}, {digest}, 'm', '{MODEL}', {action}, "
            f"{labels}, "
            "CASE WHEN i % 5 = 1 THEN 3 WHEN i % 33 = 0 THEN 5 ELSE 0 END, 'nothing reached its threshold', "
            f"{sha256}, 'JPEG', 1600, 1200, 1, {false}, {at} FROM numbers"
        ),
        *(
            "INSERT INTO label_scores (decision_id, position, label, flagged, score, prompt, prompt_cosine, "
            f"background, background_cosine, frame) SELECT i, {position}, '{label}', "
            f"CASE WHEN {flagged} THEN {true} ELSE {false} END, 0.5, 'p', 0.3, 'b', 0.2, 0 FROM numbers"
            for position, label, flagged in (
                (0, "weapons", "i % 5 = 1"),
                # Only long ago.
                (1, "drinks", "i * 50 <= :count"),
            )
        ),
        (
            "INSERT INTO embeddings (sha256, model_digest, format, width, height, frames, dimension, vectors, "
            f"created_at) SELECT {words['digest'].format('i')}, '{MODEL}', 'JPEG', 1, 1, 1, 8, {words['bytes']}, "
            f"{at} FROM numbers WHERE i % 20 <> 0"
        ),
        (
            "INSERT INTO reviews (id, decision_id, kind, state, priority, queue, for_lead, fence, created_at) "
            "SELECT i, i, CASE WHEN i % 55 = 1 THEN 'second' WHEN i % 4001 = 0 THEN 'appeal' ELSE 'decision' END, "
            "CASE WHEN i % 25 = 1 THEN 'settled' ELSE 'open' END, "
            "CASE WHEN i * 20 <= :count THEN 1 ELSE 3 + (i % 3) * 0.25 END, "
            "CASE WHEN i * 20 <= :count THEN 'spam' WHEN i % 7 = 0 THEN 'urgent' ELSE 'default' END, "
            f"{false}, 0, {at} FROM numbers WHERE i % 5 = 1"
        ),
        (
            "INSERT INTO verdicts (submission_id, decision_id, review_id, action, labels, reviewer, effective, sha256, "
            "policy_digest, created_at) SELECT decisions.submission_id, decisions.id, reviews.id, 'allow', "
            f"{no_labels}, 'person-' || (decisions.id % 10), {true}, decisions.sha256, "
            "decisions.policy_digest, reviews.created_at FROM reviews "
            "JOIN decisions ON decisions.id = reviews.decision_id WHERE reviews.state = 'settled'"
        ),
        # The meme: its last upload was judged, and the others inherit that verdict.
        (
            "INSERT INTO verdicts (submission_id, decision_id, action, labels, reviewer, effective, sha256, "
            f"policy_digest, created_at) SELECT submission_id, id, 'allow', {no_labels}, 'ada', {true}, "
            f"sha256, policy_digest, created_at FROM decisions WHERE id = (SELECT max(id) FROM decisions WHERE "
            f"sha256 = '{MEME}')"
        ),
        (
            "INSERT INTO verdicts (submission_id, decision_id, inherited_from, action, labels, reviewer, effective, "
            "created_at) SELECT submission_id, id, (SELECT max(id) FROM verdicts WHERE reviewer = 'ada'), 'allow', "
            f"{no_labels}, 'ada', {true}, CURRENT_TIMESTAMP FROM decisions WHERE sha256 = '{MEME}'"
        ),
        (
            "INSERT INTO outbox (event_id, kind, submission_id, decision_id, callback, receiver, state, attempts, "
            "next_attempt_at, created_at, started_at, settled_at) SELECT 'evt_' || i, 'decision.made', "
            f"'upload-' || i, i, {an_object}, CASE WHEN i % 10 = 0 THEN 'hangs.example' ELSE "
            "'platform.example' END, CASE WHEN i % 10 = 0 THEN 'pending' ELSE 'delivered' END, 1, "
            f"CASE WHEN i % 10 = 0 THEN {at} END, {at}, {at}, {at} FROM numbers"
        ),
        (
            "INSERT INTO audit_log (at, actor, what, review_id, submission_id, details) SELECT created_at, "
            f"'person-' || (id % 10), 'review.claimed', id, 'upload-' || decision_id, {an_object} "
            "FROM reviews"
        ),
        (
            "INSERT INTO shadow_decisions (submission_id, decision_id, policy, policy_digest, action, labels, "
            f"severity, reason, created_at) SELECT 'upload-' || i, i, 'stickers', '{STICKERS}', 'allow', "
            f"{no_labels}, 0, 'x', {at} FROM numbers"
        ),
        "DROP TABLE numbers",
    ]
