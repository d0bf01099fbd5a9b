"""The shop without its cashier, and with another buyer."""

from corner_shop import Buyer

from ebbtide import AgentSpec

agents = [AgentSpec("buyer", Buyer), AgentSpec("buyer-2", Buyer)]
