"""LoRaWAN network servers: their MQTT messages as plain values, and downlinks for them."""
