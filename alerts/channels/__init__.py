"""Ways to reach people, one module each; all keep ``alerts.delivery.Channel``'s promises."""
