"""The shop without its cashier, and with another buyer."""

from shop import Buyer

from ebbtide import AgentSpec

agents = [AgentSpec("buyer", Buyer), AgentSpec("buyer-2", Buyer)]
