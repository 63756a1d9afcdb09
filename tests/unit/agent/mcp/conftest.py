"""Calls as a client's agent makes them, in a home whose clock a test can turn."""

import pytest
from approvals_home import Home

from localai.agent.mcp.calls import CONVERSATION, Calls
from localai.agent.runner import Runner
from localai.approvals.gate import Wait
from localai.rbac.permissions import Actor


@pytest.fixture
def agent(home: Home) -> Actor:
    return home.operator.agent(f"{CONVERSATION}0123456789abcdef")


@pytest.fixture
def calls(home: Home, runner: Runner) -> Calls:
    return Calls(runner, home.approvals, lambda actor: Wait(home.approvals, actor, 0))
