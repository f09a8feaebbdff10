"""Networks: folders with weights and a card, and the engines that run them."""
