// Express 4 under another name. The features that the tests use have the types of version 5.
declare module "express4" {
  import express from "express";
  export default express;
}
