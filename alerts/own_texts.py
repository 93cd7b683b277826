"""What is said of the installation's own alarms: what has happened, and what to do about it.

For a duty officer who did not build it: each stage is a sentence, each has one thing to do first.
``docs/operation.md``, "What Satomori says about itself", has the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

GUIDE: Final = "docs/operation.md#what-satomori-says-about-itself"


@dataclass(frozen=True, slots=True)
class Words:
    """(Japanese, English) of what has happened and of what to do first."""

    happened: tuple[str, str]
    to_do: tuple[str, str]


STAGES: Final[Mapping[str, Words]] = MappingProxyType(
    {
        "no-data": Words(
            ("データが届いていません", "No data comes in"),
            (
                "画面の状態は古いままです。現地やほかの情報で確かめ、取り込みの処理を再起動してください。",
                "What the page shows is old: check on site or elsewhere, and restart Satomori.",
            ),
        ),
        "no-routine-data": Words(
            (
                "通常のデータ（水道など）が届いていません",
                "No routine data (water and others) comes in",
            ),
            (
                "緊急系（浸水・河川・わな）は動いています。ディスクの空きを確かめてください。",
                "Urgent traffic goes on. Look at the free disk space.",
            ),
        ),
        "disk-low": Words(
            ("ディスクの空きが少なくなっています", "Disk space is getting low"),
            (
                "空きを増やしてください。このまま減ると通常のデータの受け入れが止まります。",
                "Make room: when it falls further, routine traffic stops.",
            ),
        ),
        "disk-full": Words(
            (
                "ディスクの空きがなく、通常のデータの受け入れを止めました",
                "The disk is full: routine traffic has stopped",
            ),
            (
                "すぐに空きを増やしてください。止めたデータはブローカーが預かっています。",
                "Make room at once. The broker keeps what is not taken in meanwhile.",
            ),
        ),
        "broker-away": Words(
            ("ブローカーに接続できません", "The broker cannot be reached"),
            (
                "ブローカーの稼働、証明書の期限、パスワードを確かめてください。",
                "Check that the broker runs, its certificates and our password.",
            ),
        ),
        "dropping": Words(
            ("ブローカーがメッセージを破棄しました", "The broker has dropped messages"),
            (
                "測定値が失われています。max_queued_bytes とメモリーの残りを確かめてください。",
                "Readings are lost. Look at max_queued_bytes and the memory of the broker.",
            ),
        ),
        "session-lost": Words(
            (
                "ブローカーが預かっていたデータを失いました",
                "The broker has lost what it kept for us",
            ),
            (
                "測定値が失われた可能性があります。ブローカーの永続化の設定と停止の経緯を確かめてください。",
                "Readings may be lost. Look at the broker's persistence and why it stopped.",
            ),
        ),
        "taken-over": Words(
            (
                "別の処理装置が同じ接続を使っています",
                "Another processor uses our session at the broker",
            ),
            (
                "同じ設定で動いている Satomori を探し、一方を止めてください。",
                "Find the other Satomori with the same var folder or secret, and stop one of them.",
            ),
        ),
        "denied": Words(
            (
                "ブローカーが機器の送信を拒否しています（推定）",
                "The broker denies publishes of devices (an estimate)",
            ),
            (
                "登録名と違うトピックに送る機器があります。log_type debug で名前が分かります。",
                "Some device publishes where it may not; log_type debug of mosquitto names it.",
            ),
        ),
        "queue-grows": Words(
            ("ブローカーの待ち行列が伸びています", "The broker's queue is growing"),
            (
                "データの取り込みが追いついていません。ほかの負荷を減らしてください。",
                "Intake does not keep up. Take other load off the machine.",
            ),
        ),
        "queue-nearly-full": Words(
            ("ブローカーの待ち行列があふれそうです", "The broker's queue is nearly full"),
            (
                "あふれるとデータが失われます。ほかの負荷を止め、記憶容量を確かめてください。",
                "Once full, readings are lost. Stop other load, look at the memory.",
            ),
        ),
        "intake-behind": Words(
            ("データの取り込みが遅れています", "Intake is behind"),
            (
                "ディスクの速さと機械の負荷を確かめてください。緊急系が優先されています。",
                "Look at the disk's speed and the load. Urgent traffic goes first.",
            ),
        ),
        "rejecting": Words(
            ("読めないメッセージが続いています", "Many messages cannot be read"),
            (
                "隔離一覧で機器と理由を確かめてください（未登録・形式違い）。",
                "The quarantine names the topics and reasons (unregistered, wrong format).",
            ),
        ),
        "alerts-behind": Words(
            ("警報の判定が遅れています", "Alarms are late"),
            ("水位の表示を直接確かめてください。", "Look at the readings themselves meanwhile."),
        ),
        "alerts-far-behind": Words(
            ("警報の判定が大きく遅れています", "Alarms are very late"),
            (
                "水位の表示を直接確かめ、警報の処理の記録を調べてください。",
                "Look at the readings themselves, and into the log of the alerts process.",
            ),
        ),
        "store-behind": Words(
            ("データの保存が遅れています", "Storing is behind"),
            (
                "保存先（DuckDB・InfluxDB）を確かめてください。データは失われていません。",
                "Look at the store. Nothing is lost: readings wait in the journal.",
            ),
        ),
        "store-stopped": Words(
            ("データの保存が止まっています", "Storing has stopped"),
            (
                "保存先を復旧してください。データはジャーナルで待っています。ディスクの空きに注意。",
                "Bring the store back. Readings wait in the journal: watch the disk.",
            ),
        ),
        "feed-stale": Words(
            ("気象庁の情報を取得できていません", "JMA's information is not being received"),
            (
                "警報の有無は画面では分かりません。気象庁のページで確かめ、外部への接続を調べてください。",
                "The page does not know what is in force: look at JMA's own, then at the way out.",
            ),
        ),
        "feed-lost": Words(
            (
                "気象庁の情報を長い間取得できていません",
                "JMA's information has not been received for long",
            ),
            (
                "警報はほかの手段で確かめてください。接続と feeds の記録を調べてください。",
                "Watch warnings by other means. Look at network, proxy and the feeds log.",
            ),
        ),
        "silent": Words(
            ("自己監視の報告が途絶えました", "The installation no longer reports of itself"),
            ("取り込みの処理の記録を調べてください。", "Look into the log of the intake process."),
        ),
    }
)
"""Stages of the installation's rules (``default_rules.toml``, ``alerts.own_clock``)."""

QUANTITIES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "disk.lowWater": (
            "低水位線÷空き容量（1 で停止）",
            "Low-water mark / free space (stops at 1)",
        ),
        "broker.away": ("接続できない時間", "Without broker for"),
        "broker.messagesDropped": ("破棄されたメッセージ", "Messages dropped"),
        "broker.sessionsLost": ("失われたセッション", "Sessions lost"),
        "broker.sessionsTakenOver": ("奪われた接続", "Connections taken over"),
        "broker.publishesDenied": ("拒否された送信（推定）", "Publishes denied (estimate)"),
        "broker.bytesQueued": ("待ち行列", "Queue"),
        "intake.lag": ("取り込みの遅れ", "Intake lag"),
        "intake.rejected": ("読めないメッセージ", "Messages rejected"),
        "alerts.lag": ("判定の遅れ", "Alarm lag"),
        "store.lag": ("保存の遅れ", "Store lag"),
        "feed.age": ("最後の取得からの時間", "Since the last good answer"),
    }
)
"""What the letters call the quantities that these rules look at."""

UNITS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {"1/min": ("件/分", "a minute"), "s": ("秒", "s"), "/": ("", "")}
)
"""Units as people read them."""
