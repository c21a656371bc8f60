return { init = function() return { n = 0 } end, on = { ["*"] = function(view) view.n = view.n + 1 end } }
