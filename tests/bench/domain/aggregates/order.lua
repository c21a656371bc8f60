return require("item")
