// News with express-sse. docs/migrate shows it beside its port to Tidewire.
import express from "express";
import SSE from "express-sse";

const app = express();
app.use(express.json());

const stream = new SSE([{ title: "High water" }]);

app.get("/news", stream.init);

app.post("/news", (req, res) => {
  const { title } = req.body;
  stream.updateInit([{ title }]);
  stream.send({ title }, "headline");
  res.sendStatus(202);
});

const port = Number(process.env.PORT ?? 3000);
app.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}`));
