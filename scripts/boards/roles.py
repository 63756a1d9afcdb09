"""The board of roles: who may do what, and who was refused."""

from boards import frame
from boards.panels import bars, lines, row, stat_of, table

UID = "localai-rbac"
_CHECKS = "rbac_permission_checks_total{$where}"
_DENIED = 'rbac_permission_checks_total{$where,result="denied"}'


def board() -> str:
    """It as JSON."""
    told = "Permission checks, refusals, and who holds which role; names are in `ai audit list`."
    panels = [*_first(), *_checks(), *_members(), *_doors()]
    return frame.made(UID, "localai: roles and permissions", told, panels, since="now-24h")


def _first() -> list[object]:
    return [
        stat_of(
            "Refused",
            "Permission checks that said no, in this range. Normal: few; look into a sudden rise.",
            f"round(sum(increase({_DENIED}[$__range])))",
            width=4,
            quiet="0",
            steps=((10, "orange"),),
        ),
        stat_of(
            "Share refused",
            "Of all checks in this range. Normal: below 1%.",
            f"sum(increase({_DENIED}[$__range])) / (sum(increase({_CHECKS}[$__range])) > 0)",
            unit="percentunit",
            width=4,
            steps=((0.05, "orange"), (0.25, "red")),
        ),
        stat_of(
            "Checks",
            "Permission checks in this range. Normal: several for each command.",
            f"round(sum(increase({_CHECKS}[$__range])))",
            width=4,
        ),
        stat_of(
            "Admins",
            "Users who hold the role admin now. Normal: one or two.",
            'sum(localai_rbac_role_members{$where,role="admin"})',
            width=4,
            quiet="not scraped",
            first="red",
            steps=((1, "green"), (4, "orange")),
        ),
        stat_of(
            "Roles given",
            "Times that a role was given to a user, in this range. Normal: 0 on most days.",
            "round(sum(increase(rbac_role_assignments_total{$where}[$__range])))",
            width=4,
            quiet="0",
            steps=((1, "blue"),),
        ),
        stat_of(
            "Calls refused",
            "Calls of tools that the policy refused, in this range. Normal: few.",
            'round(sum(increase(mcp_tool_executions_total{$where,status="denied"}[$__range])))',
            width=4,
            quiet="0",
        ),
    ]


def _checks() -> list[object]:
    share = (
        f"sum by (role) (rate({_DENIED}[$__rate_interval])) / "
        f"(sum by (role) (rate({_CHECKS}[$__rate_interval])) > 0)"
    )
    return [
        row("Checks"),
        bars(
            "Checks by role",
            "Checks a minute by the roles of whoever asked. Normal: follows your day.",
            {"{{role}}": f"60 * sum by (role) (rate({_CHECKS}[$__rate_interval]))"},
            unit="opm",
            width=8,
        ),
        bars(
            "Refusals by role",
            "Refused checks an hour. Normal: viewers and users who try; never a steady stream.",
            {"{{role}}": f"3600 * sum by (role) (rate({_DENIED}[$__rate_interval]))"},
            unit="suffix: /h",
            width=8,
            quiet="no refusal",
        ),
        lines(
            "Share refused by role",
            "Of each role's checks. Normal: near 0; a role that is mostly refused is too small.",
            {"{{role}}": share},
            unit="percentunit",
            width=8,
            most=1,
        ),
    ]


def _members() -> list[object]:
    return [
        row("Roles"),
        lines(
            "Who holds a role",
            "Users by role. Normal: steps that somebody remembers.",
            {"{{role}}": "max by (role) (localai_rbac_role_members{$where})"},
            unit="short",
            width=8,
            quiet="not scraped",
        ),
        bars(
            "Roles given over time",
            "Roles that were given, an hour. Normal: each has a line in `ai audit list`.",
            {
                "{{role}}": "3600 * sum by (role) "
                "(rate(rbac_role_assignments_total{$where}[$__rate_interval]))"
            },
            unit="suffix: /h",
            width=8,
            quiet="no role was given",
        ),
        table(
            "Checks in this range",
            "By role and result. Normal: allowed far above denied.",
            f"round(sum by (role, result) (increase({_CHECKS}[$__range]))) > 0",
            {"role": "Role", "result": "Result"},
            width=8,
        ),
    ]


def _doors() -> list[object]:
    return [
        row("Doors"),
        bars(
            "Requests turned away over HTTP",
            "401 has no valid key, 403 no permission, 429 asks too often. Normal: 0.",
            {
                "{{service}} {{status}}": "3600 * sum by (service, status) "
                '(rate(http_requests_total{$where,status=~"401|403|429"}[$__rate_interval]))'
            },
            unit="suffix: /h",
            quiet="none",
        ),
        bars(
            "Calls that the policy refused",
            "Refused calls an hour by tool. Normal: few; `ai policy check` says which rule.",
            {
                "{{tool}}": "3600 * sum by (tool) "
                '(rate(mcp_tool_executions_total{$where,status="denied"}[$__rate_interval]))'
            },
            unit="suffix: /h",
            quiet="none",
        ),
    ]
